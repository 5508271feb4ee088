// What a step costs is told op by op, and telling changes nothing.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "tests/small_training.hpp"

namespace elbo {
namespace {

TEST(OpTimes, AreThoseOfTheSameRuns) {
  constexpr uint64_t kSteps = 4;
  SmallTraining timed(small_config(), small_data(37), true, false, 2);
  SmallTraining other(small_config(), small_data(37), true, false, 2);
  const auto executable = timed.model.device->prepare(timed.pass.program());
  const auto start = std::chrono::steady_clock::now();
  const std::vector<double> seconds = executable->time_ops(kSteps);
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - start;
  other.pass.run(kSteps);
  EXPECT_EQ(timed.weights(), other.weights());

  EXPECT_EQ(seconds.size(), timed.pass.program().size());
  for (const double each : seconds) EXPECT_GT(each, 0.0);
  EXPECT_LE(kSteps * std::accumulate(seconds.begin(), seconds.end(), 0.0), all.count());
}

TEST(OpTimes, TellOneOpFromAnother) {
  constexpr int64_t kMany = 1 << 20, kFew = 4;
  Workspace w(make_cpu_device(2));
  Program program;
  for (const int64_t count : {kFew, kMany})
    program.push_back(
        RandomFill{.count = count, .out = w.output<float>(static_cast<size_t>(count))});
  const std::vector<double> seconds = make_cpu_device(2)->prepare(program)->time_ops(20);
  ASSERT_EQ(seconds.size(), 2u);
  EXPECT_GT(seconds[1], seconds[0]);
}

}  // namespace
}  // namespace elbo
