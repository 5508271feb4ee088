// Objectives other than the plain bound: importance-weighted bounds are correct on models with
// known likelihood and select the best checkpoint; free bits and capacities reach the requested KL.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "host/train/trainer.hpp"
#include "tests/linear_gaussian.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
constexpr int64_t kRows = 37;

/// q lacks the correlations of the posterior, is off by 0.5, and too wide.
LinearGaussian poor_posterior() {
  return {{0.5f, 0.2f, 0, 0.3f, -0.1f, 0.2f, 0, 0.7f, 0.1f, -0.2f, 0.2f, 0.3f, 0.1f, 0, -0.6f},
          0.2,
          0.5,
          1.5};
}

Config weighted(int64_t samples, int64_t seed = 1) {
  Config config = LinearGaussian::config();
  config.objective = Objective::iwae;
  config.samples = samples;
  config.seed = seed;
  return config;
}

struct Estimate {
  double value = 0.0, error = 0.0;
};

/// The bound with k samples, averaged over rows; its standard error over seeds.
Estimate bound_of(const LinearGaussian& truth, int64_t samples) {
  constexpr int64_t kSeeds = 60;
  const Dataset data = small_data(kRows);
  double sum = 0.0, squares = 0.0;
  for (int64_t seed = 1; seed <= kSeeds; ++seed) {
    const Model model = truth.model(weighted(samples, seed));
    const double bound = Evaluator(model, data.split("train")).evaluate().iwae.value;
    sum += bound / kSeeds;
    squares += bound * bound / kSeeds;
  }
  return {sum, std::sqrt((squares - sum * sum) / (kSeeds - 1))};
}

TEST(ImportanceWeighted, OneSamplesBoundIsInTheMeanTheElbo) {
  const LinearGaussian truth = poor_posterior();
  const std::vector<float> rows = uniform_floats(kRows * kSmallDim, 0.0f, 1.0f, 1);
  double elbo = 0.0, likelihood = 0.0;
  for (size_t r = 0; r < kRows; ++r) {
    elbo += truth.elbo(&rows[r * kSmallDim], &rows[r * kSmallDim]) / kRows;
    likelihood += truth.log_likelihood(&rows[r * kSmallDim]) / kRows;
  }
  const Estimate one = bound_of(truth, 1);
  EXPECT_NEAR(one.value, elbo, 4.0 * one.error);
  EXPECT_LT(4.0 * one.error, 0.2 * (likelihood - elbo)) << "log p(x) itself would have passed";
}

TEST(ImportanceWeighted, BoundsRiseWithTheSamplesAndStayBounds) {
  const LinearGaussian truth = poor_posterior();
  const std::vector<float> rows = uniform_floats(kRows * kSmallDim, 0.0f, 1.0f, 1);
  double likelihood = 0.0;
  for (size_t r = 0; r < kRows; ++r)
    likelihood += truth.log_likelihood(&rows[r * kSmallDim]) / kRows;
  Estimate last = bound_of(truth, 1);
  for (const int64_t samples : {5, 50}) {
    const Estimate next = bound_of(truth, samples);
    EXPECT_GT(next.value, last.value + 3.0 * std::hypot(next.error, last.error)) << samples;
    EXPECT_LT(next.value, likelihood + 4.0 * next.error) << samples;
    last = next;
  }
}

// Both draw a row's first k samples: they differ by the roundings of float sums of some fifty.
TEST(ImportanceWeighted, BoundsAreTheLikelihoodsOfAsManySamples) {
  const LinearGaussian truth = poor_posterior();
  const Dataset data = small_data(kRows);
  for (const int64_t samples : {1, 3, 40, 300}) {
    const Model model = truth.model(weighted(samples));
    Evaluator evaluator(model, data.split("train"), 8);  // the last batch is short
    const Evaluation e = evaluator.evaluate({.samples = samples});
    EXPECT_NEAR(e.iwae.value, -e.nll.value, 100.0 * kEpsilon * 50.0) << samples;
    EXPECT_EQ(e.score, e.iwae.value);
    // The evidence lower bound is there as well, and is below: with one closed-form KL.
    EXPECT_EQ(e.elbo.value, e.reconstruction.value - e.kl.value);
    if (samples > 1) {
      EXPECT_LT(e.elbo.value, e.iwae.value - 0.05);
    }
  }
}

TEST(ImportanceWeighted, OneSamplesBoundHasTheElbosReconstruction) {
  const LinearGaussian truth = poor_posterior();
  const Dataset data = small_data(kRows);
  Config plain = weighted(1);
  plain.objective = Objective::elbo;
  const Model by_kl = truth.model(plain), by_sample = truth.model(weighted(1));
  const Evaluation want = Evaluator(by_kl, data.split("train")).evaluate();
  const Evaluation got = Evaluator(by_sample, data.split("train")).evaluate();
  EXPECT_EQ(got.reconstruction.value, want.reconstruction.value);
  EXPECT_EQ(got.kl.value, want.kl.value);
  EXPECT_TRUE(std::isnan(want.iwae.value));
  EXPECT_NE(got.iwae.value, want.elbo.value) << "log p(z) - log q(z|x) at a sample is not the KL";
}

struct Listener : TrainingObserver {
  std::vector<TrainingReport> reports;
  void on_report(const TrainingReport& report, const Trainer&) override {
    reports.push_back(report);
  }
};

// The decoder fits worse and worse at this rate: that the best score is not the last one's tells
// a chosen checkpoint from the last.
TEST(ImportanceWeighted, TheBoundIsReportedAndChooses) {
  Config config = small_config();
  config.objective = Objective::iwae;
  config.samples = 7;
  config.learning_rate = 0.3;
  config.epochs = 12;
  Trainer trainer(config, small_data(60, 0.2), make_cpu_device(1));
  Listener listener;
  trainer.train(&listener);
  double best = -std::numeric_limits<double>::infinity();
  bool fell = false;
  for (const TrainingReport& report : listener.reports) {
    EXPECT_GT(report.training["iwae"], report.training["elbo"]);
    const double bound = report.validation->iwae.value;
    EXPECT_EQ(report.best, bound > best);
    fell = fell || !report.best;
    best = std::max(best, bound);
  }
  EXPECT_TRUE(fell);
  EXPECT_EQ(trainer.progress().best_score, best);
}

/// The mean KL after a training on noise, of which there is nothing to encode: without help it
/// goes to 0.
double divergence_after(const std::function<void(Config&)>& change) {
  Config config = small_config();
  config.samples = 1;
  config.learning_rate = 1e-2;
  config.learning_rate_schedule = math::Decay::of<math::LinearDecay>();
  config.batch_size = 64;  // all rows: the means over the batch are those over the data
  config.epochs = config.report_epochs = 600;
  change(config);
  Trainer trainer(config, small_data(64), make_cpu_device(1));
  trainer.train();
  return trainer.evaluate("train").kl.value;
}

TEST(KlObjectives, LeaveTheDivergenceThatTheyAskFor) {
  EXPECT_LT(divergence_after([](Config& c) { c.beta = 4.0; }), 0.1);
  // A mean may cross its bound by the change of one step.
  EXPECT_NEAR(divergence_after([](Config& c) { c.beta = 4.0, c.kl_capacity = 2.0; }), 2.0, 0.2);
  EXPECT_NEAR(divergence_after([](Config& c) { c.beta = 4.0, c.free_bits = 0.5; }), 3 * 0.5, 0.2);
}

TEST(KlObjectives, ACapacityGrows) {
  Config config = small_config();
  config.kl_capacity = 3.0;
  config.kl_capacity_epochs = 2.0;
  SmallTraining training(config, small_data(32));  // four steps an epoch
  for (int step = 0; step < 10; ++step) {
    const StepState before = training.read(training.op<KlWeights>().inputs.state, 1).front();
    EXPECT_FLOAT_EQ(before.capacity, std::min(3.0f, 3.0f * static_cast<float>(step + 1) / 8.0f));
    training.step();
  }
}

TEST(SecondMoments, StartWhereTheyAreTold) {
  Config config = small_config();
  config.adam_second_moment_init = 1.0;
  config.epochs = 1;
  config.optimizer = math::Optimizer::of<math::AdamEpsilonHat>();
  Trainer started(config, small_data(8), make_cpu_device(1));
  for (const float moment : started.model().arena.second_moments.download())
    EXPECT_EQ(moment, 1.0f);
}

}  // namespace
}  // namespace elbo
