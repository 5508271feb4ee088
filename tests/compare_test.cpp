// The comparisons that every kernel test relies on must reject differences.
#include "tests/compare.hpp"

#include <algorithm>
#include <cstdint>

namespace elbo {
namespace {

const std::vector<float> kValues = {1.0f, -2.0f, 3.0f, 0.5f};
const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> changed(size_t i, float value) {
  std::vector<float> values = kValues;
  values[i] = value;
  return values;
}

std::vector<double> bounds(double bound) { return std::vector<double>(kValues.size(), bound); }

TEST(SameBits, AcceptsEqualAndRejectsTheNextFloat) {
  EXPECT_TRUE(same_bits(kValues, kValues));
  EXPECT_FALSE(same_bits(changed(2, std::nextafter(3.0f, 4.0f)), kValues));
}

TEST(SameBits, DistinguishesZerosAndNans) {
  EXPECT_FALSE(same_bits(std::vector<float>{-0.0f}, std::vector<float>{0.0f}));
  EXPECT_FALSE(same_bits(std::vector<float>{kNan}, std::vector<float>{0.0f}));
  EXPECT_FALSE(same_bits(std::vector<float>{0.0f}, std::vector<float>{kNan}));
}

TEST(SameBits, RejectsDifferentSizes) {
  EXPECT_FALSE(same_bits(std::vector<uint32_t>{1, 2}, std::vector<uint32_t>{1, 2, 3}));
  EXPECT_FALSE(same_bits(std::vector<uint32_t>{}, std::vector<uint32_t>{1}));
}

TEST(Within, AcceptsTheBoundItself) {
  EXPECT_TRUE(within(kValues, kValues, bounds(0.0)));
  EXPECT_TRUE(within(changed(0, 1.25f), kValues, bounds(0.25)));
  EXPECT_FALSE(within(changed(0, 1.25f), kValues, bounds(0.2499)));
}

TEST(Within, RejectsNonFinite) {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    EXPECT_FALSE(within(changed(1, bad), kValues, bounds(1e30)));
    EXPECT_FALSE(within(kValues, changed(1, bad), bounds(1e30)));
    EXPECT_FALSE(within(changed(1, bad), changed(1, bad), bounds(1e30)));
  }
  EXPECT_FALSE(within(kValues, kValues, bounds(std::nan(""))));
}

TEST(Within, RejectsDifferentSizes) {
  EXPECT_FALSE(within({1.0f}, kValues, bounds(1.0)));
  EXPECT_FALSE(within(kValues, kValues, {1.0}));
}

TEST(Within, RejectsASwappedSignAndAnOffByOne) {
  EXPECT_FALSE(within(changed(1, 2.0f), kValues, bounds(1e-3)));
  std::vector<float> shifted = kValues;
  std::rotate(shifted.begin(), shifted.begin() + 1, shifted.end());
  EXPECT_FALSE(within(shifted, kValues, bounds(1e-3)));
}

// A sum that lacks one term must not be mistaken for rounding, even at the largest tested size.
TEST(SumBound, IsTighterThanOneTerm) {
  for (const double count : {1.0, 33.0, 1000.0, 4099.0})
    EXPECT_LT(sum_bound(count, count), 1.0) << count;
}

}  // namespace
}  // namespace elbo
