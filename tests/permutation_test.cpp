// The order of an epoch: a uniform permutation that depends on epoch and seed.
#include "kernels/math/permutation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/workspace.hpp"

namespace elbo {
namespace {

std::vector<uint32_t> order(uint32_t count, uint64_t seed, uint64_t epoch) {
  const math::Permutation permutation(count, seed, epoch);
  std::vector<uint32_t> values(count);
  for (uint32_t i = 0; i < count; ++i) values[i] = permutation(i);
  return values;
}

void expect_bijection(uint32_t count, uint64_t seed, uint64_t epoch) {
  std::vector<bool> seen(count);
  for (const uint32_t value : order(count, seed, epoch)) {
    ASSERT_LT(value, count);
    ASSERT_FALSE(seen[value]) << value << " twice, n = " << count;
    seen[value] = true;
  }
}

TEST(Permutation, IsABijection) {
  for (uint32_t n = 1; n <= 300; ++n) expect_bijection(n, n % 3, n % 7);
  for (const uint32_t n : {59600u, 65535u, 65537u, 262143u, 1000003u}) expect_bijection(n, 1, 2);
}

TEST(Permutation, ReachesTheEndOfTheLargestDomain) {
  const math::Permutation permutation(0xffffffffu, 5, 6);
  for (const uint32_t index : {0u, 1u, 0x80000000u, 0xfffffffeu})
    EXPECT_LT(permutation(index), 0xffffffffu);
  EXPECT_NE(permutation(0), permutation(1));
}

// Two random orders agree at one place on average: Poisson(1), which stays under 20 but once in
// 1e18.
TEST(Permutation, DiffersByEpochAndSeed) {
  constexpr uint32_t kCount = 1000;
  const std::vector<uint32_t> first = order(kCount, 1, 0);
  const auto agreements = [&](uint64_t seed, uint64_t epoch) {
    const std::vector<uint32_t> other = order(kCount, seed, epoch);
    int count = 0;
    for (uint32_t i = 0; i < kCount; ++i) count += first[i] == other[i] ? 1 : 0;
    return count;
  };
  for (uint64_t other = 1; other < 50; ++other) {
    EXPECT_LT(agreements(1, other), 20) << "epoch " << other;
    EXPECT_LT(agreements(1 + other, 0), 20) << "seed " << other;
  }
  EXPECT_EQ(order(kCount, 1, 0), first);
}

/// Chi-square of `counts` against equal chances.
double chi_square(const std::vector<int>& counts, double trials) {
  const double expected = trials / static_cast<double>(counts.size());
  double sum = 0.0;
  for (const int count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

// Chi-square with k - 1 degrees of freedom has mean k - 1 and deviation sqrt(2(k - 1)); six of them
// above (its tail being heavier than a normal one, about 1e-7) or below is not chance.
void expect_uniform(const std::vector<int>& counts, double trials, const char* what) {
  const double freedom = static_cast<double>(counts.size()) - 1.0;
  EXPECT_NEAR(chi_square(counts, trials), freedom, 6.0 * std::sqrt(2.0 * freedom)) << what;
}

TEST(Permutation, HasNoFavourites) {
  constexpr uint32_t kCount = 101;
  constexpr uint64_t kTrials = 100'000;
  std::vector<int> at_start(kCount), at_end(kCount), step(kCount);
  for (uint64_t trial = 0; trial < kTrials; ++trial) {
    const math::Permutation permutation(kCount, trial / 100, trial % 100);
    const uint32_t first = permutation(0);
    ++at_start[first];
    ++at_end[permutation(kCount - 1)];
    ++step[(permutation(1) + kCount - first) % kCount];  // never 0
  }
  expect_uniform(at_start, kTrials, "first place");
  expect_uniform(at_end, kTrials, "last place");
  EXPECT_EQ(step[0], 0);
  step.erase(step.begin());
  expect_uniform(step, kTrials, "from first to second");
}

TEST(Permutation, TheOpIsTheFormula) {
  const auto device = make_cpu_device(2);
  for (const uint32_t domain : {1u, 33u, 40001u}) {
    const uint32_t first = domain / 3, count = domain - first;
    Workspace w(device);
    auto* out = w.output<uint32_t>(count);
    w.run({PermutationFill{
        .seed = 7, .epoch = 3, .domain = domain, .first = first, .count = count, .out = out}});
    const std::vector<uint32_t> got = w.get(out, count), want = order(domain, 7, 3);
    for (uint32_t i = 0; i < count; ++i) ASSERT_EQ(got[i], want[first + i]) << domain;
  }
}

}  // namespace
}  // namespace elbo
