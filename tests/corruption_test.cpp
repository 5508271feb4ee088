// Corruption of the network's input: the op applies the formula to noise of its own stream, and the
// result has the distribution that each corruption documents.
#include "kernels/math/corruption.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/batch.hpp"
#include "kernels/math/philox.hpp"
#include "tests/compare.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

constexpr uint64_t kSeed = 77;
constexpr float kLevel = 0.3f;

struct Corrupted {
  std::vector<float> x, input;
  std::vector<uint32_t> row_ids;
};

/// Gathers and corrupts all `count` rows of `rows` as the batch of a step.
Corrupted corrupt(math::Corruption corruption, const std::vector<float>& rows, uint32_t count,
                  uint64_t step, DataView view = DataView::raw) {
  const size_t columns = rows.size() / count;
  Workspace w(make_cpu_device(2));
  GatherBatch op;
  op.rows = w.put(rows);
  op.dtype = DType::f32;
  op.count = count;
  op.columns = static_cast<int32_t>(columns);
  op.shuffle = true;
  op.view = view;
  op.seed = kSeed;
  op.corruption = corruption;
  op.corruption_level = kLevel;
  const StepState state = {.step = step, .rows = static_cast<int32_t>(count)};
  op.batch = {w.put(std::vector{state}), static_cast<int32_t>(count), 1};
  op.x = w.output<float>(rows.size());
  op.input = w.output<float>(rows.size());
  op.row_ids = w.output<uint32_t>(count);
  w.run({op});
  return {w.get(op.x, rows.size()), w.get(op.input.f32(), rows.size()), w.get(op.row_ids, count)};
}

/// Corrupts 200 rows of 1003 columns that all equal `x`.
template <class C>
Corrupted corrupt_everywhere(float x, uint64_t step = 1) {
  constexpr uint32_t kCount = 200;
  return corrupt(math::Corruption::of<C>(), std::vector<float>(kCount * 1003, x), kCount, step);
}

// The noise is addressed by the row in the data set, not by the index in the batch, and does not
// share the stream of the view.
TEST(Corruption, MatchesFormulaOnItsOwnStream) {
  constexpr uint32_t kCount = 11;
  constexpr size_t kColumns = 261;
  constexpr uint64_t kStep = 5;
  const std::vector<float> rows = uniform_floats(kCount * kColumns, 0.0f, 1.0f, 1);
  math::Corruptions::for_each([&](auto member) {
    using C = decltype(member);
    for (const DataView view : {DataView::raw, DataView::binarized_fixed}) {
      const Corrupted got = corrupt(math::Corruption::of<C>(), rows, kCount, kStep, view);
      const uint64_t subsequence = math::noise_subsequence(math::NoiseStream::corrupt, kStep);
      std::vector<float> want;
      for (size_t i = 0; i < kCount; ++i)
        for (size_t c = 0; c < kColumns; ++c) {
          const uint64_t group = math::noise_group(got.row_ids[i], static_cast<uint32_t>(c) / 4);
          const float uniform =
              math::uniform(math::philox4x32(kSeed, subsequence, group).value[c % 4]);
          const float normal = math::normal4(kSeed, subsequence, group).value[c % 4];
          const float noise = C::noise == math::CorruptionNoise::normal ? normal : uniform;
          want.push_back(C::corrupt(got.x[i * kColumns + c], noise, kLevel));
        }
      EXPECT_TRUE(same_bits(got.input, want)) << C::name;
    }
  });
}

TEST(Corruption, DiffersBetweenSteps) {
  const auto differing = [](const std::vector<float>& a, const std::vector<float>& b) {
    double count = 0.0;
    for (size_t i = 0; i < a.size(); ++i) count += a[i] != b[i];
    return count / static_cast<double>(a.size());
  };
  const auto input = [](uint64_t step) {
    return corrupt_everywhere<math::Masking>(0.5f, step).input;
  };
  EXPECT_EQ(differing(input(1), input(1)), 0.0);
  // A fraction 2 * 0.3 * 0.7 of the 200600 elements is masked in only one of the two steps, with a
  // standard deviation of sqrt(0.42 * 0.58 / 200600) = 0.0011.
  EXPECT_NEAR(differing(input(1), input(2)), 0.42, 5 * 0.0011);
}

/// Expects the fraction of `values` equal to `value` to be `probability`, within five binomial
/// standard deviations.
void expect_part(const std::vector<float>& values, float value, double probability) {
  const auto n = static_cast<double>(values.size());
  double part = 0.0;
  for (const float v : values) part += (v == value) / n;
  EXPECT_NEAR(part, probability, 5.0 * std::sqrt(probability * (1.0 - probability) / n)) << value;
}

TEST(Corruption, MaskingHasItsProbability) {
  const Corrupted got = corrupt_everywhere<math::Masking>(0.5f);
  expect_part(got.input, 0.0f, kLevel);
  expect_part(got.input, 0.5f, 1.0 - kLevel);
}

TEST(Corruption, SaltAndPepperHaveHalfTheProbabilityEach) {
  const Corrupted got = corrupt_everywhere<math::SaltAndPepper>(0.5f);
  expect_part(got.input, 0.0f, kLevel / 2.0);
  expect_part(got.input, 1.0f, kLevel / 2.0);
  expect_part(got.input, 0.5f, 1.0 - kLevel);
}

// The standard errors of a normal's mean and variance are sigma / sqrt(n) and sigma^2 sqrt(2 / n).
TEST(Corruption, GaussianNoiseHasItsDeviation) {
  const Corrupted got = corrupt_everywhere<math::GaussianCorruption>(0.5f);
  const auto n = static_cast<double>(got.input.size());
  double mean = 0.0, square = 0.0;
  for (const float v : got.input) {
    mean += (v - 0.5) / n;
    square += (v - 0.5) * (v - 0.5) / n;
  }
  const double variance = static_cast<double>(kLevel) * kLevel;
  EXPECT_NEAR(mean, 0.0, 5.0 * kLevel / std::sqrt(n));
  EXPECT_NEAR(square, variance, 5.0 * variance * std::sqrt(2.0 / n));
}

TEST(Corruption, NoneLeavesTheInputUnchanged) {
  const Corrupted got = corrupt_everywhere<math::NoCorruption>(0.5f);
  EXPECT_TRUE(same_bits(got.input, got.x));
}

}  // namespace
}  // namespace elbo
