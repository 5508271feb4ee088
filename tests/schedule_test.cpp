// Values derived from the step counter: learning rates, warm-ups, batches with their tails, epochs,
// and Adam's bias corrections.
#include "kernels/math/schedule.hpp"

#include <gtest/gtest.h>

#include "host/train/training_pass.hpp"

namespace elbo {
namespace {

math::Schedule schedule(std::string_view decay, double floor = 0.1) {
  return {.base = 2.0,
          .warmup_steps = 10,
          .total_steps = 110,
          .floor = floor,
          .decay = {math::Decays::find(decay)},
          .gamma = floor,
          .milestones = {{90}, 1}};
}

TEST(Schedule, WarmsUpLinearlyFromTheFirstStep) {
  math::Decays::for_each([](auto decay) {
    const math::Schedule s = schedule(decltype(decay)::name);
    EXPECT_FLOAT_EQ(s.at(0), 0.2f);
    EXPECT_FLOAT_EQ(s.at(4), 1.0f);
    EXPECT_FLOAT_EQ(s.at(9), 2.0f);
    EXPECT_FLOAT_EQ(s.at(10), 2.0f);
  });
}

TEST(Schedule, DecaysToTheFloorAndStaysThere) {
  math::Decays::for_each([](auto decay) {
    using D = decltype(decay);
    const math::Schedule s = schedule(D::name);
    const float end = std::is_same_v<D, math::ConstantDecay> ? 2.0f : 0.2f;
    EXPECT_FLOAT_EQ(s.at(110), end) << D::name;
    EXPECT_FLOAT_EQ(s.at(100000), end) << D::name;
    for (uint64_t step = 11; step < 110; ++step) EXPECT_LE(s.at(step), s.at(step - 1)) << D::name;
  });
}

TEST(Schedule, HalfwayValues) {
  EXPECT_FLOAT_EQ(schedule("constant").at(60), 2.0f);
  EXPECT_FLOAT_EQ(schedule("linear").at(60), 1.1f);
  EXPECT_FLOAT_EQ(schedule("cosine").at(60), 1.1f);
  EXPECT_FLOAT_EQ(schedule("cosine").at(35), 2.0f * (0.1f + 0.9f * 0.853553391f));
  EXPECT_FLOAT_EQ(schedule("exponential", 0.01).at(60), 0.2f);
}

TEST(Schedule, FallsAtEveryMilestone) {
  math::Schedule s = schedule("multistep", 0.5);
  s.milestones = {{20, 21, 90}, 3};
  EXPECT_FLOAT_EQ(s.at(9), 2.0f);
  EXPECT_FLOAT_EQ(s.at(19), 2.0f);
  EXPECT_FLOAT_EQ(s.at(20), 1.0f);
  EXPECT_FLOAT_EQ(s.at(21), 0.5f);
  EXPECT_FLOAT_EQ(s.at(89), 0.5f);
  EXPECT_FLOAT_EQ(s.at(1000), 0.25f);
}

TEST(Schedule, StartsOverEveryCycle) {
  const math::Schedule s{.base = 2.0, .warmup_steps = 4, .cycle_steps = 10};
  for (const uint64_t cycle : {0u, 10u, 1000u}) {
    EXPECT_FLOAT_EQ(s.at(cycle), 0.5f);
    EXPECT_FLOAT_EQ(s.at(cycle + 3), 2.0f);
    EXPECT_FLOAT_EQ(s.at(cycle + 9), 2.0f);
  }
}

TEST(Schedule, WithoutWarmupOrEnd) {
  const math::Schedule s{.base = 0.5};
  for (const uint64_t step : {0, 1, 1000000}) EXPECT_EQ(s.at(step), 0.5f);
}

StepPlan plan(uint32_t rows, int32_t batch) {
  StepPlan p;
  p.row_count = rows;
  p.batch_rows = batch;
  return p;
}

TEST(StepPlan, BatchesCoverEveryRowOnceAnEpoch) {
  for (const uint32_t rows : {1u, 7u, 8u, 9u, 15u, 16u, 17u, 1000u})
    for (const int32_t batch : {1, 3, 8}) {
      const StepPlan p = plan(rows, batch);
      uint64_t step = 0;
      for (uint64_t epoch = 0; epoch < 3; ++epoch) {
        uint32_t next = 0;
        for (; next < rows; ++step) {
          const StepState s = p.at(step);
          ASSERT_EQ(s.step, step);
          ASSERT_EQ(s.epoch, epoch);
          ASSERT_EQ(s.first_row, next);
          ASSERT_GE(s.rows, 1);
          ASSERT_LE(s.rows, batch);
          next += static_cast<uint32_t>(s.rows);
          // Only the last batch of an epoch may be short.
          ASSERT_TRUE(s.rows == batch || next == rows);
        }
        ASSERT_EQ(next, rows);
      }
      EXPECT_EQ(step, 3 * p.steps_per_epoch());
    }
}

// A float's own rounding, plus the cancellation in 1 - beta^t for beta near 1: beta^t errs by t
// doubles' ulps.
TEST(StepPlan, BiasCorrectionsAreAdams) {
  StepPlan p = plan(100, 10);
  for (const double beta2 : {0.999, 0.99, 0.0}) {
    p.beta2 = beta2;
    for (const uint64_t step : {0, 1, 2, 9, 100, 12345, 10000000}) {
      const StepState s = p.at(step);
      const auto t = static_cast<double>(step + 1);
      const double correction1 = 1.0 / (1.0 - std::pow(p.beta1, t));
      const double correction2 = 1.0 / std::sqrt(1.0 - std::pow(p.beta2, t));
      EXPECT_NEAR(s.correction1, correction1, 0x1p-23 * correction1) << step;
      EXPECT_NEAR(s.correction2, correction2, 0x1p-23 * correction2) << step;
    }
  }
}

TEST(StepPlan, FollowsTheSettings) {
  Config config;
  config.batch_size = 32;
  config.epochs = 5;
  config.beta = 4.0;
  config.kl_warmup_epochs = 2.0;
  config.learning_rate = 0.5;
  config.learning_rate_warmup_epochs = 0.5;
  config.learning_rate_schedule = math::Decay::of<math::LinearDecay>();
  config.learning_rate_final_ratio = 0.2;
  const StepPlan p = step_plan(config, 100);  // four steps an epoch, the last of four rows
  EXPECT_EQ(total_steps(config, 100), 20u);
  EXPECT_EQ(p.steps_per_epoch(), 4u);
  EXPECT_EQ(p.at(3).rows, 4);
  EXPECT_FLOAT_EQ(p.at(0).beta, 0.5f);
  EXPECT_FLOAT_EQ(p.at(7).beta, 4.0f);
  EXPECT_FLOAT_EQ(p.at(19).beta, 4.0f);
  EXPECT_FLOAT_EQ(p.at(0).learning_rate, 0.25f);
  EXPECT_FLOAT_EQ(p.at(2).learning_rate, 0.5f);
  EXPECT_FLOAT_EQ(p.at(20).learning_rate, 0.1f);
  config.kl_warmup_epochs = 0.0;
  config.kl_warmup_steps = 10;
  EXPECT_FLOAT_EQ(step_plan(config, 100).at(4).beta, 2.0f);
  config.kl_warmup_steps = 0;
  config.kl_cycles = 3;  // of 20 steps: seven, seven and six
  config.kl_cycle_ratio = 0.5;
  const StepPlan cyclical = step_plan(config, 100);
  for (const uint64_t start : {0u, 7u, 14u}) {
    EXPECT_FLOAT_EQ(cyclical.at(start).beta, 1.0f);  // the first of llround(3.5) = 4 steps
    EXPECT_FLOAT_EQ(cyclical.at(start + 3).beta, 4.0f);
    EXPECT_FLOAT_EQ(cyclical.at(start + 5).beta, 4.0f);
  }
  config.kl_capacity = 25.0;
  config.kl_capacity_epochs = 2.5;
  EXPECT_FLOAT_EQ(step_plan(config, 100).at(0).capacity, 2.5f);
  EXPECT_FLOAT_EQ(step_plan(config, 100).at(9).capacity, 25.0f);
  config.learning_rate_schedule = math::Decay::of<math::MultistepDecay>();
  config.learning_rate_milestones = {0.75, 2.0};
  config.learning_rate_gamma = 0.1;
  const StepPlan falling = step_plan(config, 100);
  EXPECT_FLOAT_EQ(falling.at(2).learning_rate, 0.5f);
  EXPECT_FLOAT_EQ(falling.at(3).learning_rate, 0.05f);
  EXPECT_FLOAT_EQ(falling.at(7).learning_rate, 0.05f);
  EXPECT_FLOAT_EQ(falling.at(8).learning_rate, 0.005f);
  config.steps = 7;
  EXPECT_EQ(total_steps(config, 100), 7u);
  config.batch_size = 1000;  // more than there are rows
  EXPECT_EQ(step_plan(config, 100).batch_rows, 100);
}

}  // namespace
}  // namespace elbo
