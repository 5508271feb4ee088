// A training step uses the documented rows, mean, KL weight and number of samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "tests/compare.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

/// The rows that each step of an epoch takes, in order.
std::vector<uint32_t> rows_of_epoch(SmallTraining& training) {
  std::vector<uint32_t> rows;
  const GatherBatch& gather = training.op<GatherBatch>();
  for (uint64_t i = 0; i < training.pass.plan().steps_per_epoch(); ++i) {
    const int32_t count = training.step().rows;
    for (const uint32_t row : training.read(gather.row_ids, count)) rows.push_back(row);
  }
  return rows;
}

TEST(Training, TakesEveryRowOnceAnEpochInANewOrder) {
  SmallTraining training(small_config(), small_data(37));
  const std::vector<uint32_t> first = rows_of_epoch(training), second = rows_of_epoch(training);
  EXPECT_EQ(first.size(), 37u);
  EXPECT_EQ(second.size(), 37u);
  EXPECT_EQ(std::set<uint32_t>(first.begin(), first.end()).size(), 37u);
  EXPECT_EQ(std::set<uint32_t>(second.begin(), second.end()).size(), 37u);
  EXPECT_NE(first, second);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));

  Config other = small_config();
  other.seed = 2;
  SmallTraining elsewhere(other, small_data(37));
  EXPECT_NE(rows_of_epoch(elsewhere), first);
}

TEST(Training, NeverSeesAValidationRow) {
  Dataset data = small_data(40, 0.25);
  const std::vector<uint32_t> held_out = data.split("validation").index;
  ASSERT_EQ(held_out.size(), 10u);
  SmallTraining training(small_config(), std::move(data));
  std::set<uint32_t> seen;
  for (int epoch = 0; epoch < 3; ++epoch)
    for (const uint32_t row : rows_of_epoch(training)) seen.insert(row);
  EXPECT_EQ(seen.size(), 30u);
  for (const uint32_t row : held_out) EXPECT_FALSE(seen.contains(row)) << row;
}

/// Differences that the order of a sum of at most 16 float terms explains.
std::vector<double> rounding_of(const std::vector<float>& values) {
  double largest = 0.0;
  for (const float v : values) largest = std::max(largest, std::abs(static_cast<double>(v)));
  return std::vector<double>(values.size(), 16.0 * kEpsilon * largest);
}

// The last 3 of 11 rows as the tail of a batch of 8, and the same 3 as a whole batch of 3.
TEST(Training, TailBatchIsTrainedOnAndDividedByItsOwnRows) {
  const std::vector<float> rows = uniform_floats(11 * kSmallDim, 0.0f, 1.0f, 1);
  Config config = small_config();
  const auto dataset = [](std::vector<float> values) {
    return Dataset::from_rows(std::move(values), {kSmallDim}, {.validation_fraction = 0.0});
  };
  SmallTraining whole(config, dataset(rows), false, true);
  config.batch_size = 3;
  SmallTraining alone(config, dataset({rows.begin() + 8 * kSmallDim, rows.end()}), false, true);
  const std::vector<float> epsilon = uniform_floats(3 * 2 * 3, -1.0f, 1.0f, 2);
  whole.pass.epsilon().upload(epsilon);
  alone.pass.epsilon().upload(epsilon);

  // Values of a previous full batch must not affect the result.
  whole.pass.run(1);
  whole.model.set_weights(alone.weights());
  whole.pass.seek(1);
  const StepRecord tail = whole.step(), batch = alone.step();
  EXPECT_EQ(tail.rows, 3);
  EXPECT_NEAR(tail.terms[0], batch.terms[0], 16.0 * kEpsilon * std::abs(batch.terms[0]));
  EXPECT_NEAR(tail.terms[1], batch.terms[1], 16.0 * kEpsilon * (batch.terms[1] + 3.0));
  EXPECT_TRUE(within(whole.gradients(), alone.gradients(), rounding_of(alone.gradients())));
}

/// A parameter before the first step.
std::vector<float> started(const Config& config, const Shape& shape,
                           const ColumnStatistics& statistics, const char* name) {
  const Model model(config, {shape, DType::f32, 0}, make_cpu_device(1), Model::Purpose::inference);
  const std::vector<float> weights = model.architecture.initial_weights(1, &statistics);
  const Parameter* p = model.architecture.layout().find(name);
  return {weights.begin() + p->offset, weights.begin() + p->offset + p->count()};
}

// An element's outputs by its likelihood; variances that are shared at the part of the data's that
// codes may leave, over the elements that share them.
TEST(Training, OutputsStartAtTheDatasMeanAndVariance) {
  const Shape pixels = {2, 2, 3}, planes = {3, 2, 2};
  ColumnStatistics statistics;
  for (int e = 0; e < 12; ++e) {
    statistics.mean.push_back(0.05 * (e + 1));
    statistics.variance.push_back(0.01 * (e + 1));
  }
  math::Likelihoods::for_each([&](auto member) {
    using L = decltype(member);
    Config config = small_config();
    config.likelihood = math::Likelihood::of<L>();
    const std::vector<float> bias = started(config, pixels, statistics, "likelihood.bias");
    ASSERT_EQ(bias.size(), 12u * L::parameters);
    for (size_t e = 0; e < 12; ++e) {
      const auto want = L::start(statistics.mean[e], statistics.variance[e] + 1e-4);
      for (size_t p = 0; p < L::parameters; ++p)
        EXPECT_EQ(bias[p * 12 + e], static_cast<float>(want[p])) << L::name;
    }
  });
  Config config = small_config();
  const auto log_of = [](double variance) {
    return static_cast<float>(std::log(0.3 * variance + 1e-4));
  };
  const std::vector<float> shared = started(config, pixels, statistics, "likelihood.log_variance");
  ASSERT_EQ(shared.size(), 1u);
  EXPECT_FLOAT_EQ(shared[0], log_of(0.065));
  config.likelihood = math::Likelihood::of<math::GaussianChannel>();
  const auto by_pixel = started(config, pixels, statistics, "likelihood.log_variance"),
             by_plane = started(config, planes, statistics, "likelihood.log_variance");
  ASSERT_EQ(by_pixel.size(), 3u);
  ASSERT_EQ(by_plane.size(), 3u);
  for (int c = 0; c < 3; ++c) {
    const auto at = static_cast<size_t>(c);
    EXPECT_FLOAT_EQ(by_pixel[at], log_of(0.01 * (c + 5.5)));      // elements c, c + 3, c + 6, c + 9
    EXPECT_FLOAT_EQ(by_plane[at], log_of(0.01 * (4 * c + 2.5)));  // 4 c .. 4 c + 3
  }
  EXPECT_EQ(started(config, {12}, statistics, "likelihood.log_variance"), shared);
}

TEST(Training, BetaWeighsTheGradientAndNotTheReport) {
  std::vector<std::vector<float>> gradients;
  std::vector<StepRecord> records;
  for (const double beta : {0.0, 1.0, 4.0}) {
    Config config = small_config();
    config.beta = beta;
    SmallTraining training(config, small_data(8));
    records.push_back(training.step());
    gradients.push_back(training.gradients());
    EXPECT_EQ(records.back().beta, static_cast<float>(beta));
    EXPECT_EQ(records.back().terms[0], records.front().terms[0]);
    EXPECT_EQ(records.back().terms[1], records.front().terms[1]);
    EXPECT_GT(records.back().terms[1], 0.0f);
  }
  // The loss is linear in beta, and so is its gradient.
  std::vector<float> expected = gradients[0];
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] += 4.0f * (gradients[1][i] - gradients[0][i]);
  EXPECT_FALSE(within(gradients[1], gradients[0], rounding_of(gradients[0])));
  EXPECT_TRUE(within(gradients[2], expected, rounding_of(expected)));
}

TEST(Training, WarmsBetaUp) {
  Config config = small_config();
  config.beta = 2.0;
  config.kl_warmup_epochs = 2.0;
  SmallTraining training(config, small_data(32));  // four steps an epoch
  std::vector<float> betas;
  for (int i = 0; i < 10; ++i) betas.push_back(training.step().beta);
  EXPECT_EQ(betas,
            (std::vector<float>{0.25f, 0.5f, 0.75f, 1.0f, 1.25f, 1.5f, 1.75f, 2.0f, 2.0f, 2.0f}));
}

TEST(Training, AveragesEverySample) {
  Config config = small_config();
  config.samples = 3;
  SmallTraining training(config, small_data(8));
  const StepRecord record = training.step();
  const LatentForward& latent = training.op<LatentForward>();
  const std::vector<float> z = training.read(latent.z.f32(), 8 * 3 * latent.latent);
  const std::vector<float> nll = training.read(training.op<LikelihoodTerms>().nll, 8 * 3);
  EXPECT_EQ(std::set<float>(z.begin(), z.end()).size(), z.size()) << "noise drawn twice";
  double mean = 0.0;
  for (const float v : nll) mean += v / 24.0;
  EXPECT_NEAR(record.terms[0], mean, kEpsilon * std::abs(mean));
}

// Three samples at once are three single ones: noise is addressed, and the mean is one.
TEST(Training, SamplesAreAMean) {
  std::vector<float> mean;
  const std::vector<float> epsilon = uniform_floats(8 * 3 * 3, -2.0f, 2.0f, 6);
  Config config = small_config();
  config.samples = 3;
  SmallTraining together(config, small_data(8), false, true);
  together.pass.epsilon().upload(epsilon);
  together.step();
  config.samples = 1;
  for (size_t sample = 0; sample < 3; ++sample) {
    SmallTraining single(config, small_data(8), false, true);
    std::vector<float> own;
    for (size_t row = 0; row < 8; ++row)
      for (size_t j = 0; j < 3; ++j) own.push_back(epsilon[(row * 3 + sample) * 3 + j]);
    single.pass.epsilon().upload(own);
    single.step();
    const std::vector<float> gradients = single.gradients();
    mean.resize(gradients.size());
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += gradients[i] / 3.0f;
  }
  EXPECT_TRUE(within(together.gradients(), mean, rounding_of(mean)));
}

TEST(Training, DrawsNewNoiseEveryStepAndEpoch) {
  Config config = small_config();
  config.optimizer = math::Optimizer::of<math::Sgd>();
  config.learning_rate = 1e-30;  // weights stay, noise does not
  SmallTraining training(config, small_data(8));
  std::set<float> losses;
  for (int i = 0; i < 10; ++i) losses.insert(training.step().terms[0]);
  EXPECT_EQ(losses.size(), 10u);
}

TEST(Training, ClipsTheNormOfTheWholeGradient) {
  Config config = small_config();
  config.optimizer = math::Optimizer::of<math::Sgd>();
  config.momentum = 0.0;
  config.learning_rate = 1.0;
  config.clip_norm = 0.125;
  SmallTraining training(config, small_data(8));
  const std::vector<float> before = training.weights();
  const StepRecord record = training.step();
  double norm = 0.0, moved = 0.0;
  const std::vector<float> gradients = training.gradients(), after = training.weights();
  for (size_t i = 0; i < after.size(); ++i) {
    norm += std::pow(gradients[i], 2.0);
    moved += std::pow(static_cast<double>(after[i]) - before[i], 2.0);
  }
  EXPECT_NEAR(record.gradient_norm, std::sqrt(norm), 16.0 * kEpsilon * std::sqrt(norm));
  ASSERT_GT(std::sqrt(norm), 0.25) << "nothing to clip";
  // 1e-6 beside the norm, and every weight rounds.
  EXPECT_NEAR(std::sqrt(moved), 0.125, 1e-6 + 16.0 * kEpsilon);
}

}  // namespace
}  // namespace elbo
