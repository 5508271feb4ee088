// Evaluation of models that are not plain VAEs: compares metrics with direct arithmetic on the
// outputs, and checks that metrics which do not apply are NaN or refused.
#include <gtest/gtest.h>

#include <cmath>

#include "host/train/generation.hpp"
#include "host/train/recipe.hpp"
#include "host/train/trainer.hpp"
#include "tests/compositions.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {
namespace {

constexpr int64_t kCount = 37;

/// A model with its initial weights, and its data.
struct Evaluated {
  Config config;
  Dataset data = labelled_data(kCount);
  Model model;

  explicit Evaluated(const Composed& parts)
      : config(composed_config(parts)),
        model(config, signature_of(config, data), make_cpu_device(1), Model::Purpose::inference) {
    model.set_weights(model.architecture.initial_weights(3, nullptr));
  }
  Evaluator evaluator(int64_t batch = 8) { return Evaluator(model, data.split("train"), batch); }
  std::vector<float> rows() {
    return {static_cast<const float*>(data.split("train").rows),
            static_cast<const float*>(data.split("train").rows) + kCount * kSmallDim};
  }
};

double mean_squared_distance(const std::vector<float>& one, const std::vector<float>& other) {
  double sum = 0.0;
  for (size_t i = 0; i < one.size(); ++i) sum += std::pow(double{one[i]} - other[i], 2.0);
  return sum / static_cast<double>(kCount);
}

TEST(EvaluationParts, AutoencoderMetricsMatchItsOutputs) {
  Evaluated model({"autoencoder", {{"bottleneck", "deterministic"}, {"code-activation", "relu"}}});
  const Evaluation e = model.evaluator().evaluate();
  const auto pairs = model.evaluator().reconstruct(kCount);
  EXPECT_EQ(pairs.inputs, model.rows());
  EXPECT_TRUE(pairs.corrupted.empty());
  const double error = mean_squared_distance(pairs.means, pairs.inputs);
  EXPECT_NEAR(e.squared_error, error, 1e-5 * error);
  EXPECT_NEAR(e.psnr, -10.0 * std::log10(error / kSmallDim), 1e-4);
  // likelihood mse with variance 1/2
  EXPECT_NEAR(e.reconstruction.value, -error - 0.5 * kSmallDim * std::log(2.0 * M_PI * 0.5), 1e-4);
  EXPECT_NEAR(e.score, e.reconstruction.value, 1e-12);
  EXPECT_GT(e.reconstruction.standard_error, 0.0);

  const std::vector<float> codes = model.evaluator().encode(false);
  double l1 = 0.0, zeros = 0.0;
  for (const float z : codes) l1 += std::abs(z), zeros += z == 0.0f ? 1.0 : 0.0;
  EXPECT_NEAR(e.l1, l1 / kCount, 1e-5 * l1);
  EXPECT_NEAR(e.zero_codes, zeros / static_cast<double>(codes.size()), 1e-12);
  // The rounding of a product may depend on the number of rows.
  const std::vector<float> decoded = decode(model.model, codes);
  for (size_t i = 0; i < decoded.size(); ++i) EXPECT_NEAR(decoded[i], pairs.means[i], 1e-6);

  for (const double none : {e.elbo.value, e.kl.value, e.elbo.bits_per_dim,
                            e.reconstruction.bits_per_dim, e.accuracy, e.gan_value, e.input_psnr})
    EXPECT_TRUE(std::isnan(none));
  expect_error<ConfigError>([&] { model.evaluator().encode(true); }, {"bottleneck deterministic"});
  expect_error<ConfigError>([&] { model.evaluator().classify(); }, {"no classifier"});
  expect_error<ConfigError>([&] { discriminate(model.model, codes); }, {"no discriminator"});
  expect_error<ConfigError>([&] { sample(model.model, 3, 1); },
                            {"bottleneck deterministic", "expected bottleneck gaussian"});
}

TEST(EvaluationParts, DenoiserMetricsMatchItsOutputs) {
  Evaluated model(
      {"denoiser",
       {{"bottleneck", "deterministic"}, {"corruption", "gaussian"}, {"corruption-level", "0.5"}}});
  const auto pairs = model.evaluator().reconstruct(kCount);
  EXPECT_EQ(pairs.inputs, model.rows());
  ASSERT_EQ(pairs.corrupted.size(), pairs.inputs.size());
  const Evaluation e = model.evaluator().evaluate();
  const double noise = mean_squared_distance(pairs.corrupted, pairs.inputs);
  EXPECT_NEAR(noise, 0.25 * kSmallDim,
              0.25 * kSmallDim * 5.0 * std::sqrt(2.0 / kCount / kSmallDim));
  EXPECT_NEAR(e.input_psnr, -10.0 * std::log10(noise / kSmallDim), 1e-4);
  EXPECT_NEAR(e.squared_error, mean_squared_distance(pairs.means, pairs.inputs), 1e-4);
  // encode() uses the clean inputs.
  EXPECT_NE(decode(model.model, model.evaluator().encode(false)), pairs.means);
}

TEST(EvaluationParts, ClassifierMetricsMatchItsOutputs) {
  Evaluated model(
      {"classifier",
       {{"bottleneck", "none"}, {"likelihood", "none"}, {"classifier", "cross-entropy"}}});
  const Evaluation e = model.evaluator().evaluate();
  const std::vector<float> p = model.evaluator(5).classify();
  ASSERT_EQ(p.size(), static_cast<size_t>(kCount * kClasses));
  const std::vector<int32_t>& labels = model.data.split("train").labels;
  double loss = 0.0, hits = 0.0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const float* row = p.data() + i * kClasses;
    EXPECT_NEAR(row[0] + row[1] + row[2], 1.0, 1e-6);
    loss -= std::log(row[labels[i]]) / kCount;
    hits += std::max_element(row, row + kClasses) - row == labels[i] ? 1.0 : 0.0;
  }
  EXPECT_NEAR(e.class_loss, loss, 1e-5);
  EXPECT_NEAR(e.accuracy, hits / kCount, 1e-12);
  EXPECT_NEAR(e.score, -e.class_loss, 1e-12);
  EXPECT_TRUE(std::isnan(e.reconstruction.value));
  expect_error<ConfigError>([&] { model.evaluator().reconstruct(3); }, {"no decoder"});
  expect_error<ConfigError>([&] { decode(model.model, model.evaluator().encode(false)); },
                            {"no decoder"});
}

TEST(EvaluationParts, UnlabelledDataHaveNoAccuracy) {
  Evaluated model(
      {"classifier", {{"classifier", "cross-entropy"}, {"bottleneck", "deterministic"}}});
  const Dataset unlabelled = small_data(5);
  const Evaluation e = Evaluator(model.model, unlabelled.split("train")).evaluate();
  EXPECT_TRUE(std::isnan(e.accuracy));
  EXPECT_FALSE(std::isnan(e.reconstruction.value));
}

TEST(EvaluationParts, RejectsLabelsBeyondTheClasses) {
  Evaluated model(
      {"classifier",
       {{"bottleneck", "none"}, {"likelihood", "none"}, {"classifier", "cross-entropy"}}});
  const Dataset other = Dataset::from_rows(uniform_floats(2 * kSmallDim, 0.0f, 1.0f, 1),
                                           {kSmallDim}, {.validation_fraction = 0.0}, {0, 7});
  expect_error<DataError>([&] { Evaluator(model.model, other.split("train")); },
                          {"row 1 has label 7", "classes 0 to 2"});
}

TEST(EvaluationParts, GanMetricsMatchItsOutputs) {
  Evaluated model({"gan", {{"discriminator", "data"}, {"likelihood", "bernoulli"}}});
  const Evaluation e = model.evaluator(kCount).evaluate();
  const std::vector<float> d =
      discriminate(model.model, model.evaluator().reconstruct(kCount).inputs);
  double mean = 0.0, log_mean = 0.0;
  for (const float p : d) mean += p / kCount, log_mean += std::log(p) / kCount;
  EXPECT_NEAR(e.d_real, mean, 1e-5);
  EXPECT_GT(e.d_generated, 0.0);
  EXPECT_LT(e.gan_value, log_mean);
  EXPECT_FALSE(std::isnan(e.elbo.value));
  EXPECT_EQ(sample(model.model, 4, 1).size(), 4u * kSmallDim);
  // The result does not depend on the batch size.
  const Evaluation cut = model.evaluator(5).evaluate();
  EXPECT_NEAR(cut.gan_value, e.gan_value, 1e-5);
  EXPECT_NEAR(cut.d_generated, e.d_generated, 1e-5);
}

TEST(EvaluationParts, AdversarialCodeMetricsMatchItsOutputs) {
  Evaluated model({"aae", {{"discriminator", "code"}, {"bottleneck", "deterministic"}}});
  const Evaluation e = model.evaluator().evaluate();
  const std::vector<float> d = discriminate(model.model, model.evaluator().encode(false));
  double mean = 0.0;
  for (const float p : d) mean += p / kCount;
  EXPECT_NEAR(e.d_generated, mean, 1e-5);
  EXPECT_EQ(sample(model.model, 4, 1).size(), 4u * kSmallDim);
}

/// N steps, a checkpoint and N more steps are bitwise equal to 2N steps, including the optimizer
/// moments of every phase.
TEST(TrainerParts, ResumeIsBitwiseExact) {
  for (const Composed& parts : kCompositions) {
    SCOPED_TRACE(parts.name);
    Config config = composed_config(parts);
    config.learning_rate = 1e-3;
    config.steps = 10;
    const TemporaryDirectory directory;
    const auto data = [&] {
      const bool bytes = config.likelihood == math::Likelihood::of<math::DiscretizedLogistic>();
      return bytes ? labelled_bytes(21, parts.sample_shape) : labelled_data(21, parts.sample_shape);
    };
    Trainer whole(config, data(), make_cpu_device(1));
    whole.train();
    whole.save(directory / "whole.safetensors");
    Config half_config = config;
    half_config.steps = 5;
    Trainer half(half_config, data(), make_cpu_device(1));
    half.train();
    half.save(directory / "half.safetensors");
    Trainer resumed(config, data(), make_cpu_device(2));
    resumed.restore(directory / "half.safetensors");
    resumed.train();
    resumed.save(directory / "resumed.safetensors");
    EXPECT_EQ(read_bytes((directory / "resumed.safetensors").string()),
              read_bytes((directory / "whole.safetensors").string()));
  }
}

}  // namespace
}  // namespace elbo
