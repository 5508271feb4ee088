// Random numbers: the generator is Philox4x32-10 to the bit (Random123's published vectors, cuRAND
// as an oracle), the op is the formula, and the normals are normal.
#include "kernels/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/core/error.hpp"
#include "kernels/curand.hpp"
#include "kernels/math/philox.hpp"
#include "tests/compare.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

void expect_words(const math::Bits4& got, const std::array<uint32_t, 4>& want) {
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(got.value[i], want[i]) << "word " << i;
}

// Random123 1.14, examples/kat_vectors: counter and key all zeros, all ones, digits of pi.
TEST(Philox, EqualsThePublishedVectors) {
  expect_words(math::philox4x32(0, 0, 0), {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  expect_words(math::philox4x32(~0ull, ~0ull, ~0ull),
               {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  expect_words(math::philox4x32(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
               {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

std::vector<uint32_t> fill(Distribution distribution, uint64_t seed, uint64_t subsequence,
                           uint64_t first_group, int64_t count, int threads = 2) {
  Workspace w(make_cpu_device(threads));
  auto* out = w.output<uint32_t>(static_cast<size_t>(count));
  w.run({RandomFill{distribution, seed, subsequence, first_group, count, out}});
  return w.get(out, static_cast<size_t>(count));
}

// Counts off every multiple, and beyond one task; a counter that carries into its high word.
TEST(RandomFill, IsTheFormula) {
  constexpr uint64_t kSeed = 0x123456789abcdef, kSubsequence = uint64_t{3} << 56 | 11;
  for (const uint64_t first : {uint64_t{0}, uint64_t{5}, (uint64_t{1} << 32) - 2})
    for (const int64_t count : {1, 2, 3, 4, 5, 255, 257, 1000, 4099, 70001}) {
      const auto got = fill(Distribution::bits, kSeed, kSubsequence, first, count);
      const auto uniform = fill(Distribution::uniform, kSeed, kSubsequence, first, count);
      const auto normal = fill(Distribution::normal, kSeed, kSubsequence, first, count);
      for (size_t i = 0; i < got.size(); ++i) {
        const uint64_t group = first + i / 4;
        const uint32_t word = math::philox4x32(kSeed, kSubsequence, group).value[i % 4];
        ASSERT_EQ(got[i], word);
        ASSERT_EQ(uniform[i], math::as_bits(math::uniform(word)));
        ASSERT_EQ(normal[i], math::as_bits(math::normal4(kSeed, kSubsequence, group).value[i % 4]));
      }
    }
}

TEST(RandomFill, EverySeedAndSubsequenceIsAnother) {
  const auto base = fill(Distribution::bits, 1, 0, 0, 64);
  for (const auto& other :
       {fill(Distribution::bits, 2, 0, 0, 64), fill(Distribution::bits, 1ull << 40, 0, 0, 64),
        fill(Distribution::bits, 1, 1, 0, 64), fill(Distribution::bits, 1, 1ull << 56, 0, 64),
        fill(Distribution::bits, 1, 0, 16, 64)})
    EXPECT_EQ(std::count_if(
                  other.begin(), other.end(),
                  [&](uint32_t v) { return std::find(base.begin(), base.end(), v) != base.end(); }),
              0);
}

// cuRAND's host interface orders its output over 65536 subsequences: group i comes from subsequence
// i mod 65536 at offset 4 floor(i / 65536).
TEST(Philox, IsCurandsGenerator) {
  constexpr uint64_t kSubsequences = 65536;
  constexpr size_t kCount = 4 * (2 * kSubsequences + 5);
  constexpr uint64_t kSeed = 0xfeedface12345678;
  std::vector<uint32_t> theirs(kCount);
  try {
    CurandGenerator(make_cpu_device(1), kSeed).bits(theirs.data(), theirs.size());
  } catch (const DeviceError& error) {
    GTEST_SKIP() << error.what();
  }
  for (size_t i = 0; i < kCount; i += 4) {
    const uint64_t group = i / 4;
    const math::Bits4 ours = math::philox4x32(kSeed, group % kSubsequences, group / kSubsequences);
    for (size_t word = 0; word < 4; ++word) ASSERT_EQ(theirs[i + word], ours.value[word]) << i;
  }
}

TEST(Uniform, IsInItsRange) {
  EXPECT_EQ(math::uniform(0), 0.0f);
  EXPECT_LT(math::uniform(~0u), 1.0f);
  EXPECT_EQ(math::uniform(0x80000000u), 0.5f);
  // With 2^20 draws the mean deviates by 1/sqrt(12 2^20) = 2.8e-4; five of them.
  double sum = 0.0;
  const auto values = fill(Distribution::uniform, 3, 0, 0, 1 << 20);
  for (const uint32_t bits : values) sum += math::as_float(bits);
  EXPECT_NEAR(sum / static_cast<double>(values.size()), 0.5, 5 * 2.8e-4);
}

TEST(Normal, AtTheEndsOfItsIntegers) {
  for (const uint32_t radius : {0u, 1u, 0x7fffffffu, 0xffffff7fu, ~0u})
    for (const uint32_t angle : {0u, 1u, 0x3fffffffu, 0x40000000u, 0x80000000u, 0xe0000000u, ~0u}) {
      float first, second;
      math::box_muller(radius, angle, first, second);
      EXPECT_TRUE(std::isfinite(first) && std::isfinite(second)) << radius << ' ' << angle;
      EXPECT_LE(std::max(std::abs(first), std::abs(second)), 6.77f);
    }
}

// Against Box and Muller in double. The radius is a root of a logarithm within 2 ulps, of which the
// root halves the relative error; sine and cosine are within an ulp of 1.
TEST(Normal, IsBoxAndMullers) {
  for (uint32_t i = 0; i < 100'000; ++i) {
    const math::Bits4 bits = math::philox4x32(1, 2, i);
    float first, second;
    math::box_muller(bits.value[0], bits.value[1], first, second);
    const double u = math::fma(static_cast<float>(bits.value[0]), 0x1p-32f, 0x1p-33f);
    const double radius = std::sqrt(-2.0 * std::log(u));
    const double angle = 2.0 * std::acos(-1.0) * (bits.value[1] + 0.5) * 0x1p-32;
    ASSERT_NEAR(first, radius * std::sin(angle), 0x1p-22 * radius);
    ASSERT_NEAR(second, radius * std::cos(angle), 0x1p-22 * radius);
  }
}

std::vector<double> standard_normals(uint64_t subsequence, int64_t count) {
  std::vector<double> values;
  for (const uint32_t bits : fill(Distribution::normal, 42, subsequence, 0, count))
    values.push_back(math::as_float(bits));
  return values;
}

// Sampling deviations of the first four moments of n normals: sqrt(1, 2, 15, 96) / sqrt(n).
TEST(Normal, HasNormalMoments) {
  const std::vector<double> values = standard_normals(0, 1 << 21);
  const auto n = static_cast<double>(values.size());
  double moment[5] = {};
  for (const double v : values)
    for (int power = 1; power <= 4; ++power) moment[power] += std::pow(v, power) / n;
  EXPECT_NEAR(moment[1], 0.0, 5.0 * std::sqrt(1.0 / n));
  EXPECT_NEAR(moment[2], 1.0, 5.0 * std::sqrt(2.0 / n));
  EXPECT_NEAR(moment[3], 0.0, 5.0 * std::sqrt(15.0 / n));
  EXPECT_NEAR(moment[4], 3.0, 5.0 * std::sqrt(96.0 / n));
}

// Beyond 4 deviations lie 6.33e-5 of a normal: 133 of 2^21, give or take 11.5.
TEST(Normal, HasNormalTails) {
  const std::vector<double> values = standard_normals(1, 1 << 21);
  const double expected = std::erfc(4.0 / std::sqrt(2.0)) * static_cast<double>(values.size());
  const auto count =
      std::count_if(values.begin(), values.end(), [](double v) { return std::abs(v) > 4.0; });
  EXPECT_NEAR(static_cast<double>(count), expected, 5.0 * std::sqrt(expected));
}

// Kolmogorov and Smirnov: sqrt(n) D exceeds 2.6 once in 2 e^(2 * 2.6^2) = 7e5 samples of a normal.
TEST(Normal, HasTheNormalDistribution) {
  std::vector<double> values = standard_normals(2, 1 << 20);
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double cumulative = 0.5 * std::erfc(-values[i] / std::sqrt(2.0));
    const auto below = static_cast<double>(i);
    distance = std::max({distance, cumulative - below / n, (below + 1.0) / n - cumulative});
  }
  EXPECT_LT(std::sqrt(n) * distance, 2.6);
}

// Neighbours within a group share an angle or come from neighbouring integers; correlations of n
// independent pairs deviate by 1/sqrt(n).
TEST(Normal, NeighboursAreUncorrelated) {
  const std::vector<double> values = standard_normals(3, 1 << 20);
  for (const size_t lag : {1u, 2u, 3u, 4u, 256u}) {
    double value = 0.0, square = 0.0;
    const size_t pairs = values.size() - lag;
    for (size_t i = 0; i < pairs; ++i) {
      value += values[i] * values[i + lag];
      square += (values[i] * values[i] - 1.0) * (values[i + lag] * values[i + lag] - 1.0) / 2.0;
    }
    EXPECT_NEAR(value / std::sqrt(static_cast<double>(pairs)), 0.0, 5.0) << lag;
    EXPECT_NEAR(square / std::sqrt(static_cast<double>(pairs)), 0.0, 5.0) << lag;
  }
}

// One number for every machine, compiler and instruction set.
TEST(Normal, BitsAreTheSameEverywhere) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const uint32_t bits : fill(Distribution::normal, 2024, 7, 0, 1 << 16))
    for (int byte = 0; byte < 4; ++byte)
      hash = (hash ^ (bits >> (8 * byte) & 0xff)) * 0x100000001b3;
  EXPECT_EQ(hash, 0x4096fceb1e18f23au) << std::hex << hash;
}

}  // namespace
}  // namespace elbo
