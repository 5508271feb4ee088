// Importance-sampled likelihoods: linear Gaussian models have closed forms; every sample counts
// once for any division of samples and rows; and the reported values follow.
#include "host/train/importance_sampling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/train/evaluator.hpp"
#include "host/train/generation.hpp"
#include "host/train/recipe.hpp"
#include "kernels/latent.hpp"
#include "tests/compare.hpp"
#include "tests/file_fixture.hpp"
#include "tests/linear_gaussian.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint32_t kRows = 37;

std::vector<float> small_rows() { return uniform_floats(kRows * kSmallDim, 0.0f, 1.0f, 1); }

/// Columns that have no element in common: the posterior has no correlations, and q can be it.
LinearGaussian with_exact_posterior() {
  return {{0.5f, 0, 0, 0.3f, 0, 0, 0, 0.7f, 0, 0, 0.2f, 0, 0, 0, -0.6f}, 0.1, 0.0, 1.0};
}

/// q lacks the correlations of the posterior, is off by 0.2, and too wide.
LinearGaussian with_poor_posterior(double shift = 0.2) {
  return {{0.5f, 0.2f, 0, 0.3f, -0.1f, 0.2f, 0, 0.7f, 0.1f, -0.2f, 0.2f, 0.3f, 0.1f, 0, -0.6f},
          0.2,
          shift,
          1.5};
}

double mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

struct Estimate {
  double value = 0.0, error = 0.0;
};

/// The mean over all rows of log_likelihoods, and its standard error over `seeds` seeds.
Estimate over_seeds(const LinearGaussian& truth, int64_t samples, int64_t seeds) {
  const Dataset data = small_data(kRows);
  std::vector<double> means;
  for (int64_t seed = 1; seed <= seeds; ++seed) {
    Config config = truth.config();
    config.seed = seed;
    const Model model = truth.model(config);
    means.push_back(
        mean(Evaluator(model, data.split("train")).log_likelihoods({.samples = samples})));
  }
  Estimate estimate{mean(means), 0.0};
  for (const double m : means) estimate.error += std::pow(m - estimate.value, 2.0);
  estimate.error = std::sqrt(estimate.error / static_cast<double>(seeds * (seeds - 1)));
  return estimate;
}

TEST(LogMeanExp, IsItsName) {
  const auto of = [](std::initializer_list<double> values) {
    LogMeanExp mean;
    for (const double v : values) mean.add(v);
    return mean.value();
  };
  EXPECT_EQ(of({-3.5}), -3.5);
  EXPECT_NEAR(of({std::log(1.0), std::log(2.0), std::log(6.0)}), std::log(3.0), 1e-15);
  EXPECT_NEAR(of({std::log(6.0), std::log(1.0), std::log(2.0)}), std::log(3.0), 1e-15);
  // Far beyond the range of exp, in both directions.
  EXPECT_NEAR(of({-1e5, -1e5 + std::log(3.0)}), -1e5 + std::log(2.0), 1e-10);
  EXPECT_NEAR(of({1e5, -1e5}), 1e5 - std::log(2.0), 1e-10);
  EXPECT_NEAR(of({-kInfinity, std::log(4.0), -kInfinity}), std::log(4.0 / 3.0), 1e-15);
  EXPECT_EQ(of({-kInfinity, -kInfinity}), -kInfinity);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& values : {std::initializer_list<double>{nan, 1.0}, {1.0, nan}, {nan}})
    EXPECT_TRUE(std::isnan(of(values)));
}

// With q(z|x) = p(z|x) every weight is p(x), so K changes only the rounding.
TEST(ImportanceSampling, IsExactWhereThePosteriorIs) {
  const LinearGaussian truth = with_exact_posterior();
  const Dataset data = small_data(kRows);
  const Model model = truth.model();
  const std::vector<float> rows = small_rows();
  for (const int64_t samples : {1, 2, 7, 300}) {
    Evaluator evaluator(model, data.split("train"), 8);
    const std::vector<double> got = evaluator.log_likelihoods({.samples = samples});
    ASSERT_EQ(got.size(), kRows);
    for (uint32_t r = 0; r < kRows; ++r) {
      const float* x = &rows[r * kSmallDim];
      // Two sums of terms, -log p(x|z) and z^2 / 2, that stay below 50 here, and roundings of the
      // encoder's weights that q's logarithm multiplies by epsilon < 7.
      EXPECT_NEAR(got[r], truth.log_likelihood(x), 100.0 * kEpsilon * 50.0) << r;
      EXPECT_NEAR(truth.elbo(x, x), truth.log_likelihood(x), 1e-5) << r;
    }
  }
}

// log of a mean of K weights: deviation sqrt(v / K), below the truth by v / 2K on average, where v
// is the weights' relative variance.
void expect_reaches(const LinearGaussian& truth, Config config) {
  constexpr int64_t kSamples = 5000;
  config.samples = 100;  // of the evidence lower bound
  const Dataset data = small_data(kRows);
  const Model model = truth.model(config);
  Evaluator evaluator(model, data.split("train"));
  const std::vector<double> got = evaluator.log_likelihoods({.samples = kSamples});
  const Evaluator::Reconstructions seen = evaluator.reconstruct(kRows);
  const std::vector<float>& inputs = seen.corrupted.empty() ? seen.inputs : seen.corrupted;
  double total = 0.0, variance = 0.0, gap = 0.0, squares = 0.0;
  for (uint32_t r = 0; r < kRows; ++r) {
    const float* x = &seen.inputs[r * kSmallDim];
    const float* input = &inputs[r * kSmallDim];
    const double exact = truth.log_likelihood(x);
    const double v = truth.weight_variance(x, input) / kSamples;
    EXPECT_NEAR(got[r] + 0.5 * v, exact, 5.0 * std::sqrt(v)) << r;
    total += (got[r] - exact + 0.5 * v) / kRows;
    squares += std::pow(got[r] - exact, 2.0) / v / kRows;
    variance += v / kRows / kRows;
    gap += (exact - truth.elbo(x, input)) / kRows;
  }
  EXPECT_LE(std::abs(total), 4.0 * std::sqrt(variance));
  EXPECT_GT(gap, 20.0 * std::sqrt(variance)) << "the bound itself would have passed";
  // Not better than chance allows either: a mean of 37 squares of standard normals.
  EXPECT_GT(squares, 0.3);
  EXPECT_LT(squares, 2.5);
  const Evaluation e = evaluator.evaluate({.samples = kSamples});
  EXPECT_LT(e.elbo.value, -e.nll.value - 0.5 * gap);
}

TEST(ImportanceSampling, ReachesTheLikelihoodThroughAPoorPosterior) {
  expect_reaches(with_poor_posterior(), LinearGaussian::config());
}

// An encoder that reads corrupted rows has yet another q(z), and log p is of the clean ones.
TEST(ImportanceSampling, ReachesTheLikelihoodThroughCorruptedInputs) {
  Config config = LinearGaussian::config();
  config.corruption = math::Corruption::of<math::GaussianCorruption>();
  config.corruption_level = 0.1;
  expect_reaches(with_poor_posterior(0.0), config);

  // If q is the posterior of clean rows, weights would be p(x) if the encoder read clean rows.
  const LinearGaussian truth = with_exact_posterior();
  const Dataset data = small_data(kRows);
  const Model model = truth.model(config);
  const std::vector<double> got =
      Evaluator(model, data.split("train")).log_likelihoods({.samples = 1});
  const std::vector<float> rows = small_rows();
  double distance = 0.0;
  for (uint32_t r = 0; r < kRows; ++r)
    distance += std::abs(got[r] - truth.log_likelihood(&rows[r * kSmallDim])) / kRows;
  EXPECT_GT(distance, 0.01);
}

TEST(ImportanceSampling, OneSampleIsTheEvidenceLowerBoundAndMoreAreMore) {
  const LinearGaussian truth = with_poor_posterior(0.5);
  const std::vector<float> rows = small_rows();
  double elbo = 0.0, exact = 0.0;
  for (uint32_t r = 0; r < kRows; ++r) {
    elbo += truth.elbo(&rows[r * kSmallDim], &rows[r * kSmallDim]) / kRows;
    exact += truth.log_likelihood(&rows[r * kSmallDim]) / kRows;
  }
  constexpr int64_t kSeeds = 100;
  Estimate last = over_seeds(truth, 1, kSeeds);
  EXPECT_NEAR(last.value, elbo, 5.0 * last.error);
  EXPECT_LT(5.0 * last.error, 0.2 * (exact - elbo)) << "the comparison shows nothing";
  for (const int64_t samples : {2, 5, 20, 100}) {
    const Estimate next = over_seeds(truth, samples, kSeeds);
    EXPECT_GT(next.value, last.value + 3.0 * std::hypot(next.error, last.error)) << samples;
    EXPECT_LT(next.value, exact + 5.0 * next.error) << samples;
    last = next;
  }
}

/// A model with hidden layers and an x-dependent variance.
Model crooked_model(int threads = 1, int64_t seed = 1) {
  Config config = small_config();
  config.samples = 1;
  config.seed = seed;
  Model model(config, {{kSmallDim}, DType::f32}, make_cpu_device(threads),
              Model::Purpose::inference);
  model.set_weights(model.architecture.initial_weights(3, nullptr));
  return model;
}

/// log of weight `sample` of every row, by its definition: codes and their noise in double, the
/// decoder as decode() has it.
std::vector<double> log_weights(const Model& model, const std::vector<float>& rows,
                                const std::vector<float>& codes, uint32_t sample) {
  constexpr size_t kLatents = 3, kDim = kSmallDim;
  std::vector<float> z;
  std::vector<double> log_weight;
  for (uint32_t r = 0; r < kRows; ++r) {
    const math::Float4 noise = math::normal4(
        static_cast<uint64_t>(model.settings.seed),
        math::noise_subsequence(math::NoiseStream::epsilon, uint64_t{1} << 55),
        math::noise_group(r, sample));  // one group of four holds a sample's three elements
    double log_ratio = 0.0;
    for (size_t j = 0; j < kLatents; ++j) {
      const double mu = codes[r * 2 * kLatents + j], logvar = codes[(r * 2 + 1) * kLatents + j];
      const double epsilon = noise.value[j], value = mu + std::exp(0.5 * logvar) * epsilon;
      log_ratio += 0.5 * (epsilon * epsilon + logvar - value * value);
      z.push_back(static_cast<float>(value));
    }
    log_weight.push_back(log_ratio);
  }
  const std::vector<float> means = decode(model, z);
  const ParameterLayout& layout = model.architecture.layout();
  const double log_variance = model.arena.weights.download(
      static_cast<size_t>(layout.find("likelihood.log_variance")->offset), 1)[0];
  for (uint32_t r = 0; r < kRows; ++r)
    for (size_t c = 0; c < kDim; ++c)
      log_weight[r] -= 0.5 * (std::log(2.0 * std::acos(-1.0)) + log_variance +
                              std::pow(double{rows[r * kDim + c]} - means[r * kDim + c], 2.0) /
                                  std::exp(log_variance));
  return log_weight;
}

// Ten sums of at most fifteen terms below 20 each; the decoder's products round on their own.
constexpr double kRounding = 64.0 * kEpsilon * 20.0;

TEST(ImportanceSampling, IsTheMeanOfItsWeightsHoweverTheyAreCut) {
  const Dataset data = small_data(kRows);
  const Model model = crooked_model();
  const std::vector<float> rows = small_rows();
  const std::vector<float> codes = Evaluator(model, data.split("train")).encode(true);
  std::vector<std::vector<double>> weights;
  for (uint32_t s = 0; s < 11; ++s) weights.push_back(log_weights(model, rows, codes, s));
  for (const int64_t samples : {1, 2, 3, 10, 11}) {
    std::vector<double> want;
    for (uint32_t r = 0; r < kRows; ++r) {
      double sum = 0.0;
      for (size_t s = 0; s < static_cast<size_t>(samples); ++s) sum += std::exp(weights[s][r]);
      want.push_back(std::log(sum / static_cast<double>(samples)));
    }
    // The last batch is partial with 8, 10 and 36 rows; with 1000 the only one is. Of codes, fewer
    // than a batch has rows, one and several samples for each row, and more than there are.
    for (const int64_t batch : {1, 8, 10, 36, 1000})
      for (const int64_t decoder_rows : {1, 24, 40, 100, 4096}) {
        Evaluator evaluator(model, data.split("train"), batch);
        const std::vector<double> got =
            evaluator.log_likelihoods({.samples = samples, .decoder_rows = decoder_rows});
        ASSERT_EQ(got.size(), kRows);
        for (uint32_t r = 0; r < kRows; ++r)
          ASSERT_NEAR(got[r], want[r], kRounding)
              << samples << " samples, batches of " << batch << ", " << decoder_rows
              << " decoder rows, row " << r;
      }
  }
}

TEST(ImportanceSampling, TheFirstSampleIsTheBoundsOwn) {
  const Dataset data = small_data(kRows);
  const Model model = crooked_model();
  Evaluator evaluator(model, data.split("train"));
  const std::vector<float> codes = evaluator.encode(true);
  // log p(x|z) is the weight without the ratio, which the codes and the noise give.
  double ratio = 0.0;
  for (uint32_t r = 0; r < kRows; ++r) {
    const math::Float4 noise =
        math::normal4(1, math::noise_subsequence(math::NoiseStream::epsilon, uint64_t{1} << 55),
                      math::noise_group(r, 0));
    for (size_t j = 0; j < 3; ++j) {
      const double mu = codes[r * 6 + j], logvar = codes[r * 6 + 3 + j], e = noise.value[j];
      ratio += 0.5 * (e * e + logvar - std::pow(mu + std::exp(0.5 * logvar) * e, 2.0)) / kRows;
    }
  }
  const Evaluation e = evaluator.evaluate({.samples = 1});
  EXPECT_NEAR(-e.nll.value, e.reconstruction.value + ratio, kRounding);
  EXPECT_GT(std::abs(-e.nll.value - e.elbo.value), 10.0 * kRounding)
      << "the comparison shows nothing";
}

TEST(ImportanceSampling, IsTheSameEveryTimeAndOtherwiseForAnotherSeed) {
  const Dataset data = small_data(300);
  const Model model = crooked_model(), other = crooked_model(1, 2);
  Evaluator evaluator(model, data.split("train"));
  const std::vector<double> first = evaluator.log_likelihoods({.samples = 50});
  EXPECT_EQ(evaluator.log_likelihoods({.samples = 50}), first);
  // Other calls of an evaluator do not change results.
  const Evaluation plain = evaluator.evaluate();
  EXPECT_EQ(evaluator.log_likelihoods({.samples = 50}), first);
  EXPECT_EQ(evaluator.evaluate().elbo.value, plain.elbo.value);
  for (const int threads : {2, 3}) {
    const Model threaded = crooked_model(threads);
    EXPECT_EQ(Evaluator(threaded, data.split("train")).log_likelihoods({.samples = 50}), first);
  }
  const std::vector<double> reseeded =
      Evaluator(other, data.split("train")).log_likelihoods({.samples = 50});
  for (size_t r = 0; r < first.size(); ++r) EXPECT_NE(reseeded[r], first[r]) << r;
}

// All weights but the output's bias zero: q is the prior, and each weight p(x), the cross-entropy.
TEST(ImportanceSampling, OfABiasAloneIsItsCrossEntropyWhateverTheSamples) {
  std::vector<float> rows = small_rows();
  for (float& value : rows) value = value < 0.4f ? 1.0f : 0.0f;
  const Dataset data = Dataset::from_rows(rows, {kSmallDim}, {.validation_fraction = 0.0});
  Config config = small_config();
  config.likelihood = math::Likelihood::of<math::Bernoulli>();
  Model model(config, {{kSmallDim}, DType::f32}, make_cpu_device(1), Model::Purpose::inference);
  const ParameterLayout& layout = model.architecture.layout();
  std::vector<float> weights(static_cast<size_t>(layout.size()));
  const auto bias = static_cast<size_t>(layout.find("likelihood.bias")->offset);
  for (size_t c = 0; c < kSmallDim; ++c) weights[bias + c] = 0.7f * static_cast<float>(c) - 1.0f;
  model.set_weights(weights);
  for (const int64_t samples : {1, 3, 1000}) {
    const std::vector<double> got =
        Evaluator(model, data.split("train")).log_likelihoods({.samples = samples});
    for (uint32_t r = 0; r < kRows; ++r) {
      double want = 0.0;
      for (size_t c = 0; c < kSmallDim; ++c) {
        const double logit = weights[bias + c];
        want -= std::log1p(std::exp(rows[r * kSmallDim + c] == 1.0f ? -logit : logit));
      }
      EXPECT_NEAR(got[r], want, 16.0 * kEpsilon * std::abs(want)) << samples << ' ' << r;
    }
  }
}

TEST(ImportanceSampling, IsReportedAsAMeanOverRows) {
  const Dataset data = small_data(kRows);
  const Model model = crooked_model();
  Evaluator evaluator(model, data.split("train"));
  const std::vector<double> rows = evaluator.log_likelihoods({.samples = 20});
  const Evaluation e = evaluator.evaluate({.samples = 20});
  double squares = 0.0;
  for (const double v : rows) squares += std::pow(v - mean(rows), 2.0);
  EXPECT_NEAR(e.nll.value, -mean(rows), 1e-12);
  EXPECT_NEAR(e.nll.standard_error, std::sqrt(squares / (kRows * (kRows - 1.0))), 1e-12);
  EXPECT_NEAR(e.nll.bits_per_dim, e.nll.value / kSmallDim / std::log(2.0), 1e-12);
  EXPECT_EQ(e.importance_samples, 20);
  std::vector<std::string> names;
  for_each_metric(e, [&](const char* name, double) { names.emplace_back(name); });
  for (const char* name : {"nll", "nll_standard_error", "nll_bits_per_dim", "importance_samples"})
    EXPECT_EQ(std::ranges::count(names, name), 1) << name;

  const Evaluation without = evaluator.evaluate();
  EXPECT_EQ(without.elbo.value, e.elbo.value);
  EXPECT_EQ(without.elbo.standard_error, e.elbo.standard_error);
  EXPECT_TRUE(std::isnan(without.nll.value) && std::isnan(without.nll.standard_error) &&
              std::isnan(without.nll.bits_per_dim));
  EXPECT_EQ(without.importance_samples, 0);
  for_each_metric(without, [&](std::string_view name, double) {
    EXPECT_FALSE(name.starts_with("nll") || name == "importance_samples") << name;
  });
}

// Of v / 255, and of dequantised bytes, as bits_per_dim.
TEST(ImportanceSampling, BitsAreOfTheStoredValues) {
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 4 * kSmallDim; ++i) bytes.push_back(static_cast<uint8_t>(13 * i % 256));
  const Dataset data = Dataset::from_rows(bytes, {kSmallDim}, {.validation_fraction = 0.0});
  for (const auto& [dequantize, offset] :
       {std::pair{"none", std::log2(255.0)}, std::pair{"uniform", 8.0}}) {
    Config config = small_config();
    apply_setting(config, "dequantize", dequantize);
    const Model model(config, {{kSmallDim}, DType::u8}, make_cpu_device(1),
                      Model::Purpose::inference);
    const Evaluation e = Evaluator(model, data.split("train")).evaluate({.samples = 3});
    // All weights are zero, so that q is the prior and the bound is tight.
    EXPECT_NEAR(e.nll.value, -e.elbo.value, 16.0 * kEpsilon * std::abs(e.elbo.value));
    EXPECT_NEAR(e.nll.bits_per_dim, e.nll.value / kSmallDim / std::log(2.0) + offset, 1e-12);
  }
}

TEST(ImportanceSampling, RefusesWhatHasNoLikelihood) {
  const Dataset data = small_data(kRows);
  const auto expect = [&](const Config& config, int64_t samples,
                          std::initializer_list<std::string_view> words) {
    const Model model(config, {{kSmallDim}, DType::f32, 3}, make_cpu_device(1),
                      Model::Purpose::inference);
    // First by itself: four thousand million samples would take their time.
    expect_error<ConfigError>([&] { require_importance_sampling(model, {.samples = samples}); },
                              words);
    if (HasFailure()) return;
    Evaluator evaluator(model, data.split("train"));
    expect_error<ConfigError>([&] { evaluator.log_likelihoods({.samples = samples}); }, words);
    if (samples != 0)
      expect_error<ConfigError>([&] { evaluator.evaluate({.samples = samples}); }, words);
  };
  expect(small_config(), 0, {"importance-samples", "'0'", "at least 1"});
  expect(small_config(), -3, {"importance-samples", "'-3'", "at least 1"});
  const int64_t most = int64_t{1} << 32;  // three latents fill one group of four normals
  EXPECT_EQ(most_samples(3), most);
  EXPECT_EQ(most_samples(4), most);
  EXPECT_EQ(most_samples(5), most / 2);
  expect(small_config(), most + 1, {"importance-samples", "4294967296", "latent-dim 3"});

  Config config = small_config();
  config.samples = 1;
  config.bottleneck = Bottleneck::deterministic;
  config.likelihood = math::Likelihood::of<math::Mse>();
  expect(config, 5, {"bottleneck deterministic", "likelihood mse", "expected bottleneck gaussian"});
  config.bottleneck = Bottleneck::none;
  config.likelihood = std::nullopt;
  config.classifier = math::ClassLoss::of<math::CrossEntropy>();
  expect(config, 5, {"bottleneck none", "likelihood none", "expected bottleneck gaussian"});
}

}  // namespace
}  // namespace elbo
