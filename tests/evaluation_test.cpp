// Evaluations: every row once, however batches are cut and on however many threads; every sample;
// and the arithmetic of what is reported.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "host/train/evaluator.hpp"
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
  // A row's values may round otherwise in a product of another height; the divergence of each of
  // three latents is what is left of a 1.
  EXPECT_NEAR(got.reconstruction, want.reconstruction,
              16.0 * kEpsilon * std::abs(want.reconstruction));
  EXPECT_NEAR(got.kl, want.kl, 16.0 * kEpsilon * (want.kl + 3.0));
  EXPECT_EQ(got.active_units, want.active_units);
}

TEST(Evaluation, DoesNotDependOnTheBatchSize) {
  const Dataset data = small_data(37);
  const Model model = small_model(small_config());
  const Evaluation whole = Evaluator(model, data.split("train"), 37).evaluate();
  EXPECT_EQ(whole.count, 37);
  // The last batch is partial with 8, 10 and 36 rows; with 1000 the only one is.
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
    EXPECT_EQ(got.elbo, want.elbo) << threads;
    EXPECT_EQ(got.kl, want.kl) << threads;
  }
}

TEST(Evaluation, IsAMeanOverRows) {
  Dataset data = small_data(12);
  const Model model = small_model(small_config());
  const Evaluation whole = Evaluator(model, data.split("train")).evaluate();
  Split one = data.split("train");
  double elbo = 0.0, squares = 0.0, kl = 0.0;
  for (uint32_t row = 0; row < 12; ++row) {
    one.index = {row};
    const Evaluation single = Evaluator(model, one).evaluate();
    EXPECT_EQ(single.count, 1);
    elbo += single.elbo / 12.0;
    squares += single.elbo * single.elbo / 12.0;
    kl += single.kl / 12.0;
  }
  EXPECT_NEAR(whole.elbo, elbo, 16.0 * kEpsilon * std::abs(elbo));
  EXPECT_NEAR(whole.kl, kl, 16.0 * kEpsilon * (kl + 3.0));
  const double error = std::sqrt((squares - elbo * elbo) / 11.0);
  EXPECT_NEAR(whole.elbo_standard_error, error, 1e-3 * error);
}

TEST(Evaluation, IsTheSameEveryTimeAndOtherwiseForAnotherSeed) {
  const Dataset data = small_data(20);
  Model model = small_model(small_config());
  Evaluator evaluator(model, data.split("train"));
  const double first = evaluator.evaluate().elbo;
  EXPECT_EQ(evaluator.evaluate().elbo, first);
  model.config.seed = 2;
  EXPECT_NE(Evaluator(model, data.split("train")).evaluate().elbo, first);
}

// The variance over seeds falls as 1/L. The quotient of two estimates from 60 seeds each follows F:
// within a factor of 4 of the truth but once in 10^6.
TEST(Evaluation, UsesEverySample) {
  const Dataset data = small_data(5);
  const auto variance = [&](int64_t samples) {
    Config config = small_config();
    config.samples = samples;
    double sum = 0.0, squares = 0.0;
    for (int64_t seed = 1; seed <= 60; ++seed) {
      config.seed = seed;
      const double elbo = Evaluator(small_model(config), data.split("train")).evaluate().elbo;
      sum += elbo / 60.0;
      squares += elbo * elbo / 60.0;
    }
    return squares - sum * sum;
  };
  const double quotient = variance(1) / variance(64);
  EXPECT_GT(quotient, 16.0);
  EXPECT_LT(quotient, 256.0);
}

TEST(Evaluation, ElboIsReconstructionMinusDivergenceWhateverBeta) {
  const Dataset data = small_data(20);
  Config config = small_config();
  const Evaluation plain = Evaluator(small_model(config), data.split("train")).evaluate();
  config.beta = 7.0;
  const Evaluation weighted = Evaluator(small_model(config), data.split("train")).evaluate();
  EXPECT_EQ(weighted.elbo, plain.elbo);
  EXPECT_EQ(plain.elbo, plain.reconstruction - plain.kl);
  EXPECT_GT(plain.kl, 0.0);
}

/// A model that ignores its input: all weights zero, so z is prior noise and the mean is 0.
Model blank_model(Config config, DType dtype) {
  return {std::move(config), {{kSmallDim}, dtype}, make_cpu_device(1), Model::Purpose::inference};
}

TEST(Evaluation, BitsPerDimensionAreOfTheStoredValues) {
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 4 * kSmallDim; ++i) bytes.push_back(static_cast<uint8_t>(13 * i % 256));
  const Dataset data = Dataset::from_rows(bytes, {kSmallDim}, {.validation_fraction = 0.0});
  Config config = small_config();
  config.likelihood = "mse";
  config.mse_variance = 0.25;

  // N(0, 1/4) over v/255, its density over v being 255 times smaller.
  double nats = 0.0;
  for (const uint8_t v : bytes)
    nats += 0.5 * (std::log(2.0 * std::acos(-1.0) * 0.25) + std::pow(v / 255.0, 2) / 0.25) / 4.0;
  const Evaluation raw = Evaluator(blank_model(config, DType::u8), data.split("train")).evaluate();
  EXPECT_NEAR(raw.elbo, -nats, 16.0 * kEpsilon * nats);
  EXPECT_EQ(raw.kl, 0.0);
  EXPECT_NEAR(raw.bits_per_dim, nats / kSmallDim / std::log(2.0) + std::log2(255.0), 1e-6);

  // Dequantised: x = (v + u)/256, whose square is on average that of v + 1/2 and 1/12 more.
  config.dequantize = "uniform";
  const Evaluation noisy =
      Evaluator(blank_model(config, DType::u8), data.split("train")).evaluate();
  EXPECT_NEAR(noisy.bits_per_dim, -noisy.elbo / kSmallDim / std::log(2.0) + 8.0, 1e-9);
  EXPECT_NEAR(noisy.elbo, -nats, 0.05);
  EXPECT_NE(noisy.elbo, raw.elbo);

  // Floats are taken as they are.
  const Dataset floats = small_data(4);
  const Evaluation real =
      Evaluator(blank_model(config, DType::f32), floats.split("train")).evaluate();
  EXPECT_NEAR(real.bits_per_dim, -real.elbo / kSmallDim / std::log(2.0), 1e-9);
}

TEST(Evaluation, BernoulliOfABlankModelIsOneBitAnElement) {
  Config config = small_config();
  config.likelihood = "bernoulli";
  config.binarize = "dynamic";
  const Dataset data = small_data(9);
  const Evaluation got = Evaluator(blank_model(config, DType::f32), data.split("train")).evaluate();
  EXPECT_NEAR(got.elbo, -kSmallDim * std::log(2.0), 16.0 * kEpsilon * kSmallDim);
  EXPECT_NEAR(got.bits_per_dim, 1.0, 16.0 * kEpsilon);
}

TEST(Evaluation, CountsActiveUnits) {
  Config config = small_config();
  config.hidden = {};
  const Dataset data = small_data(50);
  Model model = blank_model(config, DType::f32);
  EXPECT_EQ(Evaluator(model, data.split("train")).evaluate().active_units, 0);
  // Uniform columns have variance 1/12: weights 1 and 0.2 give codes above and below 0.01.
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
  // The mean of x given the posterior's mean.
  std::vector<float> mu;
  for (size_t row = 0; row < 11; ++row)
    mu.insert(mu.end(), codes.begin() + static_cast<std::ptrdiff_t>(6 * row),
              codes.begin() + static_cast<std::ptrdiff_t>(6 * row + 3));
  EXPECT_TRUE(
      within(pairs.means, decode(model, mu), std::vector<double>(pairs.means.size(), 1e-6)));
}

}  // namespace
}  // namespace elbo
