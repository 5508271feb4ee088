// Evaluation uses every row once, whatever the batch size and number of threads, and every sample.
// Checks the arithmetic of the reported metrics.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "host/train/evaluator.hpp"
#include "host/train/generation.hpp"
#include "tests/compare.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

Model small_model(const Config& config, DType dtype = DType::f32, int threads = 1) {
  Model model(config, {{kSmallDim}, dtype}, make_cpu_device(threads), Model::Purpose::inference);
  model.set_weights(model.architecture.initial_weights(3, nullptr));
  return model;
}

void expect_close(const Evaluation& got, const Evaluation& want) {
  EXPECT_EQ(got.count, want.count);
  // The rounding of a product may depend on its number of rows. The KL of each of the three latents
  // is a difference of terms near 1, so its error is relative to 1.
  EXPECT_NEAR(got.reconstruction.value, want.reconstruction.value,
              16.0 * kEpsilon * std::abs(want.reconstruction.value));
  EXPECT_NEAR(got.kl.value, want.kl.value, 16.0 * kEpsilon * (want.kl.value + 3.0));
  EXPECT_EQ(got.active_units, want.active_units);
}

TEST(Evaluation, DoesNotDependOnTheBatchSize) {
  const Dataset data = small_data(37);
  const Model model = small_model(small_config());
  const Evaluation whole = Evaluator(model, data.split("train"), 37).evaluate();
  EXPECT_EQ(whole.count, 37);
  // With 8, 10 and 36 rows the last batch is partial; with 1000 the only batch is.
  for (const int64_t batch : {1, 8, 10, 36, 1000}) {
    SCOPED_TRACE(batch);
    expect_close(Evaluator(model, data.split("train"), batch).evaluate(), whole);
  }
}

TEST(Evaluation, DoesNotDependOnThreads) {
  const Dataset data = small_data(300);
  const Model one = small_model(small_config(), DType::f32, 1);
  const Evaluation want = Evaluator(one, data.split("train")).evaluate();
  for (const int threads : {2, 3}) {
    const Model model = small_model(small_config(), DType::f32, threads);
    const Evaluation got = Evaluator(model, data.split("train")).evaluate();
    EXPECT_EQ(got.elbo.value, want.elbo.value) << threads;
    EXPECT_EQ(got.kl.value, want.kl.value) << threads;
  }
}

TEST(Evaluation, IsAMeanOverRows) {
  Dataset data = small_data(12);
  const Model model = small_model(small_config());
  const Evaluation whole = Evaluator(model, data.split("train")).evaluate();
  Split one = data.split("train");
  std::vector<Evaluation> singles;
  for (uint32_t row = 0; row < 12; ++row) {
    one.index = {row};
    singles.push_back(Evaluator(model, one).evaluate());
    EXPECT_EQ(singles.back().count, 1);
    EXPECT_EQ(singles.back().elbo.standard_error, 0.0);
  }
  for (const auto estimate : {&Evaluation::elbo, &Evaluation::reconstruction, &Evaluation::kl}) {
    double mean = 0.0, squares = 0.0;
    for (const Evaluation& single : singles) mean += (single.*estimate).value / 12.0;
    for (const Evaluation& single : singles)
      squares += std::pow((single.*estimate).value - mean, 2.0) / 12.0;
    const Estimate& got = whole.*estimate;
    EXPECT_NEAR(got.value, mean, 16.0 * kEpsilon * (std::abs(mean) + 3.0));
    const double error = std::sqrt(squares / 11.0);
    EXPECT_NEAR(got.standard_error, error, 1e-3 * error);
  }
  EXPECT_NE(whole.kl.standard_error, whole.reconstruction.standard_error);
}

TEST(Evaluation, DependsOnlyOnTheSeed) {
  const Dataset data = small_data(20);
  Model model = small_model(small_config());
  Evaluator evaluator(model, data.split("train"));
  const double first = evaluator.evaluate().elbo.value;
  EXPECT_EQ(evaluator.evaluate().elbo.value, first);
  model.settings.seed = 2;
  EXPECT_NE(Evaluator(model, data.split("train")).evaluate().elbo.value, first);
}

// The variance over seeds is proportional to 1/L. The ratio of two estimates from 60 seeds each has
// an F distribution: it is within a factor of 4 of the true ratio except once in 10^6.
TEST(Evaluation, UsesEverySample) {
  const Dataset data = small_data(5);
  const auto variance = [&](int64_t samples) {
    Config config = small_config();
    config.samples = samples;
    double sum = 0.0, squares = 0.0;
    for (int64_t seed = 1; seed <= 60; ++seed) {
      config.seed = seed;
      const double elbo = Evaluator(small_model(config), data.split("train")).evaluate().elbo.value;
      sum += elbo / 60.0;
      squares += elbo * elbo / 60.0;
    }
    return squares - sum * sum;
  };
  const double quotient = variance(1) / variance(64);
  EXPECT_GT(quotient, 16.0);
  EXPECT_LT(quotient, 256.0);
}

TEST(Evaluation, ElboDoesNotDependOnBeta) {
  const Dataset data = small_data(20);
  Config config = small_config();
  const Evaluation plain = Evaluator(small_model(config), data.split("train")).evaluate();
  config.beta = 7.0;
  const Evaluation weighted = Evaluator(small_model(config), data.split("train")).evaluate();
  EXPECT_EQ(weighted.elbo.value, plain.elbo.value);
  EXPECT_EQ(plain.elbo.value, plain.reconstruction.value - plain.kl.value);
  EXPECT_GT(plain.kl.value, 0.0);
}

/// A model that ignores its input: all weights are zero, so z is prior noise and the mean is 0.
Model blank_model(Config config, DType dtype) {
  return {std::move(config), {{kSmallDim}, dtype}, make_cpu_device(1), Model::Purpose::inference};
}

TEST(Evaluation, BitsPerDimensionReferToTheStoredValues) {
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 4 * kSmallDim; ++i) bytes.push_back(static_cast<uint8_t>(13 * i % 256));
  const Dataset data = Dataset::from_rows(bytes, {kSmallDim}, {.validation_fraction = 0.0});
  Config config = small_config();
  config.likelihood = math::Likelihood::of<math::Mse>();
  config.mse_variance = 0.25;

  // N(0, 1/4) over v/255; the density over v is 255 times smaller.
  double nats = 0.0;
  for (const uint8_t v : bytes)
    nats += 0.5 * (std::log(2.0 * std::acos(-1.0) * 0.25) + std::pow(v / 255.0, 2) / 0.25) / 4.0;
  const Evaluation raw = Evaluator(blank_model(config, DType::u8), data.split("train")).evaluate();
  EXPECT_NEAR(raw.elbo.value, -nats, 16.0 * kEpsilon * nats);
  EXPECT_EQ(raw.kl.value, 0.0);
  EXPECT_NEAR(raw.elbo.bits_per_dim, nats / kSmallDim / std::log(2.0) + std::log2(255.0), 1e-6);
  EXPECT_EQ(raw.kl.bits_per_dim, 0.0) << "the KL does not depend on the unit of the values";

  // Dequantized: x = (v + u)/256, and the mean of (v + u)^2 is (v + 1/2)^2 + 1/12.
  config.dequantize = Dequantization::uniform;
  const Evaluation noisy =
      Evaluator(blank_model(config, DType::u8), data.split("train")).evaluate();
  EXPECT_NEAR(noisy.elbo.bits_per_dim, -noisy.elbo.value / kSmallDim / std::log(2.0) + 8.0, 1e-9);
  EXPECT_NEAR(noisy.elbo.value, -nats, 0.05);
  EXPECT_NE(noisy.elbo.value, raw.elbo.value);

  // Float data are used unchanged, so no term for the unit is added.
  const Dataset floats = small_data(4);
  const Evaluation real =
      Evaluator(blank_model(config, DType::f32), floats.split("train")).evaluate();
  EXPECT_NEAR(real.elbo.bits_per_dim, -real.elbo.value / kSmallDim / std::log(2.0), 1e-9);
}

// Each column contains every value once, and the model has mu = 0 and s = 1. The probabilities of
// the stored values follow the definition, whatever the setting `dequantize`.
TEST(Evaluation, BytesHaveDiscreteProbabilities) {
  std::vector<uint8_t> bytes;
  double nats = 0.0;
  const auto below = [](double edge) { return 1.0 / (1.0 + std::exp(-edge)); };
  for (int v = 0; v < 256; ++v) {
    bytes.insert(bytes.end(), kSmallDim, static_cast<uint8_t>(v));
    const double upper = v == 255 ? 1.0 : below((v + 0.5) / 255.0);
    const double lower = v == 0 ? 0.0 : below((v - 0.5) / 255.0);
    nats -= kSmallDim * std::log(upper - lower) / 256.0;
  }
  const Dataset data = Dataset::from_rows(bytes, {kSmallDim}, {.validation_fraction = 0.0});
  for (const char* dequantize : {"uniform", "none"}) {
    Config config = small_config();
    config.likelihood = math::Likelihood::of<math::DiscretizedLogistic>();
    apply_setting(config, "dequantize", dequantize);
    config.binarize = Binarization::automatic;
    const Model model = blank_model(config, DType::u8);
    EXPECT_EQ(model.view(), DataView::raw);
    const Evaluation e = Evaluator(model, data.split("train")).evaluate({.samples = 3});
    EXPECT_NEAR(e.reconstruction.value, -nats, 16.0 * kEpsilon * nats);
    EXPECT_NEAR(e.nll.value, nats, 16.0 * kEpsilon * nats);
    EXPECT_NEAR(e.nll.bits_per_dim, e.nll.value / kSmallDim / std::log(2.0), 1e-9);
    EXPECT_NEAR(e.elbo.bits_per_dim, -e.elbo.value / kSmallDim / std::log(2.0), 1e-9);
    EXPECT_TRUE(std::isnan(e.cross_entropy_floor));
  }
}

TEST(Evaluation, BitsOfReconstructionAndKlSumToBitsOfElbo) {
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 4 * kSmallDim; ++i) bytes.push_back(static_cast<uint8_t>(13 * i % 256));
  const Dataset data = Dataset::from_rows(bytes, {kSmallDim}, {.validation_fraction = 0.0});
  const Evaluation e =
      Evaluator(small_model(small_config(), DType::u8), data.split("train")).evaluate();
  const double nats_per_bit = kSmallDim * std::log(2.0);
  EXPECT_GT(e.kl.bits_per_dim, 0.0);
  EXPECT_NEAR(e.kl.bits_per_dim, e.kl.value / nats_per_bit, 1e-12);
  EXPECT_NEAR(e.reconstruction.bits_per_dim + e.kl.bits_per_dim, e.elbo.bits_per_dim, 1e-9);
  for (const Estimate& estimate : {e.elbo, e.reconstruction, e.kl})
    EXPECT_NEAR(estimate.bits_per_dim_standard_error, estimate.standard_error / nats_per_bit,
                1e-12);
  std::set<std::string> names;
  for_each_metric(e, [&](const char* name, double) { names.insert(name); });
  for (const char* name : {"elbo", "reconstruction", "kl"})
    for (const char* ending :
         {"", "_standard_error", "_bits_per_dim", "_bits_per_dim_standard_error"}) {
      std::string wanted = std::string(name) + ending;
      if (wanted.starts_with("elbo_bits")) wanted = wanted.substr(5);
      EXPECT_EQ(names.count(wanted), 1u) << wanted;
    }
}

// The cross-entropy of grey targets is at least their entropy, with equality if the model's
// probabilities equal the targets.
TEST(Evaluation, GreyTargetsHaveAnEntropyFloor) {
  Config config = small_config();
  config.likelihood = math::Likelihood::of<math::Bernoulli>();
  const auto floor_of = [&](const Dataset& data, const Config& how) {
    return Evaluator(blank_model(how, data.dtype()), data.split("train"))
        .evaluate()
        .cross_entropy_floor;
  };
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 7 * kSmallDim; ++i) bytes.push_back(static_cast<uint8_t>(i * i % 256));
  std::vector<float> floats;
  double want = 0.0;
  for (const uint8_t v : bytes) {
    const double p = v / 255.0;
    floats.push_back(static_cast<float>(p));
    if (v > 0 && v < 255) want -= (p * std::log(p) + (1.0 - p) * std::log(1.0 - p)) / 7.0;
  }
  const DatasetOptions all = {.validation_fraction = 0.0};
  const Dataset grey = Dataset::from_rows(bytes, {kSmallDim}, all);
  EXPECT_NEAR(floor_of(grey, config), want, 1e-12 * want);
  EXPECT_NEAR(floor_of(Dataset::from_rows(floats, {kSmallDim}, all), config), want,
              16.0 * kEpsilon * want);
  for (const char* binarize : {"dynamic", "fixed"}) {
    Config drawn = config;
    apply_setting(drawn, "binarize", binarize);
    EXPECT_TRUE(std::isnan(floor_of(grey, drawn))) << binarize;
  }
  EXPECT_TRUE(std::isnan(floor_of(grey, small_config())));
  for (uint8_t& v : bytes) v = v < 99 ? 0 : 255;
  EXPECT_TRUE(std::isnan(floor_of(Dataset::from_rows(bytes, {kSmallDim}, all), config)));

  // All elements have the same value, and the model's output is its logit.
  const Dataset flat =
      Dataset::from_rows(std::vector<float>(3 * kSmallDim, 0.25f), {kSmallDim}, all);
  Model model = blank_model(config, DType::f32);
  const ParameterLayout& layout = model.architecture.layout();
  std::vector<float> weights(static_cast<size_t>(layout.size()));
  const auto bias = weights.begin() + layout.find("likelihood.bias")->offset;
  std::fill(bias, bias + kSmallDim, static_cast<float>(-std::log(3.0)));
  model.set_weights(weights);
  const Evaluation e = Evaluator(model, flat.split("train")).evaluate({.samples = 3});
  EXPECT_NEAR(-e.reconstruction.value, e.cross_entropy_floor,
              16.0 * kEpsilon * e.cross_entropy_floor);
  EXPECT_NEAR(e.nll.value, e.cross_entropy_floor, 16.0 * kEpsilon * e.cross_entropy_floor);
}

TEST(Evaluation, BlankBernoulliModelNeedsOneBitPerElement) {
  Config config = small_config();
  config.likelihood = math::Likelihood::of<math::Bernoulli>();
  config.binarize = Binarization::dynamic;
  const Dataset data = small_data(9);
  const Evaluation got = Evaluator(blank_model(config, DType::f32), data.split("train")).evaluate();
  EXPECT_NEAR(got.elbo.value, -kSmallDim * std::log(2.0), 16.0 * kEpsilon * kSmallDim);
  EXPECT_NEAR(got.elbo.bits_per_dim, 1.0, 16.0 * kEpsilon);
}

TEST(Evaluation, CountsActiveUnits) {
  Config config = small_config();
  config.hidden = {};
  const Dataset data = small_data(50);
  Model model = blank_model(config, DType::f32);
  EXPECT_EQ(Evaluator(model, data.split("train")).evaluate().active_units, 0);
  // Uniform columns have variance 1/12, so the codes of weights 1 and 0.2 have variances above and
  // below the threshold 0.01.
  std::vector<float> weights(static_cast<size_t>(model.architecture.layout().size()));
  const auto at = static_cast<size_t>(model.architecture.layout().find("posterior.weight")->offset);
  weights[at] = 1.0f;
  weights[at + kSmallDim + 1] = 0.2f;
  model.set_weights(weights);
  EXPECT_EQ(Evaluator(model, data.split("train")).evaluate().active_units, 1);
}

TEST(Evaluation, EncodesAndReconstructsEveryRow) {
  const Dataset data = small_data(11);
  const Model model = small_model(small_config());
  Evaluator evaluator(model, data.split("train"), 4), whole(model, data.split("train"), 11);
  const std::vector<float> codes = evaluator.encode(true);
  EXPECT_EQ(codes.size(), 11u * 6u);
  const std::vector<float> expected = whole.encode(true);
  EXPECT_TRUE(within(codes, expected, std::vector<double>(66, 16.0 * kEpsilon)));
  const Evaluator::Reconstructions pairs = evaluator.reconstruct(100);
  EXPECT_EQ(pairs.inputs, uniform_floats(11 * kSmallDim, 0.0f, 1.0f, 1));
  // Reconstructions decode the posterior's mean.
  std::vector<float> mu;
  for (size_t row = 0; row < 11; ++row)
    mu.insert(mu.end(), codes.begin() + static_cast<std::ptrdiff_t>(6 * row),
              codes.begin() + static_cast<std::ptrdiff_t>(6 * row + 3));
  EXPECT_TRUE(
      within(pairs.means, decode(model, mu), std::vector<double>(pairs.means.size(), 1e-6)));
}

}  // namespace
}  // namespace elbo
