// The float functions have their documented accuracy over the whole range, and propagate NaN.
#include "kernels/math/elementary.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/math/philox.hpp"

namespace elbo::math {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Returns |got - want| in units in the last place of `want`; infinity if `got` is not finite.
double ulps(float got, double want) {
  if (!std::isfinite(got)) return std::numeric_limits<double>::infinity();
  const double ulp = std::ldexp(1.0, std::max(std::ilogb(want), -126) - 23);
  return std::abs(got - want) / ulp;
}

using Float = float (*)(float);
using Double = double (*)(double);

/// Returns the largest error in ulps over [low, high], low > 0, or over [-high, -low] if `sign` is
/// -1. The tested floats are evenly spaced by their bit patterns.
double worst(float low, float high, Float f, Double reference, float sign = 1.0f) {
  constexpr uint32_t kStride = 1009;  // coprime to every power of two
  double error = 0.0;
  for (uint32_t bits = as_bits(low); bits <= as_bits(high); bits += kStride) {
    const float x = sign * as_float(bits);
    error = std::max(error, ulps(f(x), reference(x)));
  }
  return std::max(error, ulps(f(sign * high), reference(sign * high)));
}

double worst_of_both_signs(float low, float high, Float f, Double reference) {
  return std::max(worst(low, high, f, reference), worst(low, high, f, reference, -1.0f));
}

constexpr float kTiny = std::numeric_limits<float>::min();

// The last addition rounds a sum near 1 by half an ulp. The polynomial contributes at most 0.42 of
// that sum and carries the roundings of the reduced argument (half), of two fmas (one) and of the
// fit (a tenth). The total is doubled because an ulp below 1 is half an ulp above 1.
TEST(Elementary, ExpIsWithinTwoUlps) {
  EXPECT_LE(worst(kTiny, 88.72f, exp, ::exp), 2.0);
  EXPECT_LE(worst(kTiny, 86.6f, exp, ::exp, -1.0f), 2.0);
}

TEST(Elementary, ExpIsCorrectAtItsLimits) {
  EXPECT_EQ(exp(0.0f), 1.0f);
  EXPECT_TRUE(std::isfinite(exp(88.72f)));
  for (const float x : {88.73f, 89.0f, 100.0f, 1e30f, kInfinity}) EXPECT_EQ(exp(x), kInfinity) << x;
  for (const float x : {-86.6f, -90.0f, -1e30f, -kInfinity}) {
    EXPECT_GT(exp(x), 0.0f) << x;
    EXPECT_LT(exp(x), 3e-38f) << x;
  }
  EXPECT_TRUE(std::isnan(exp(kNan)));
}

// The largest error is due to cancellation between k log 2 and log m. With |m - 1| <= 0.42 the sum
// is at least half of each term, so their errors (each below an ulp) at most double.
TEST(Elementary, LogIsWithinTwoUlps) {
  const double error = worst(kTiny, std::numeric_limits<float>::max(), log, ::log);
  EXPECT_LE(error, 2.0);
  EXPECT_EQ(log(1.0f), 0.0f);
}

TEST(Elementary, Log1pOfAUnitIsWithinTwoUlps) {
  EXPECT_LE(worst(kTiny, 1.0f, log1p_unit, ::log1p), 2.0);
}

// Like log, but the argument 1 + x is rounded by half an ulp: by 2^-24 if it is below 2, when the
// ulp of the result is 2^-25.
TEST(Elementary, Log1pOfAPositiveIsWithinFourUlps) {
  EXPECT_LE(worst(kTiny, 1e38f, log1p_positive, ::log1p), 4.0);
  EXPECT_EQ(log1p_positive(0.0f), 0.0f);
}

// exp contributes two ulps times e/(1+e) <= 1/2, log1p two ulps and the sum half an ulp.
TEST(Elementary, SoftplusIsWithinFourUlps) {
  const auto reference = [](double x) { return std::max(x, 0.0) + ::log1p(::exp(-std::abs(x))); };
  EXPECT_LE(worst_of_both_signs(kTiny, 86.6f, softplus<float>, reference), 4.0);
  EXPECT_EQ(softplus(1e4f), 1e4f);
  EXPECT_LT(softplus(-1e4f), 3e-38f);
  EXPECT_TRUE(std::isnan(softplus(kNan)));
}

// exp contributes two ulps; a sum, a quotient and a product half an ulp (at most doubled) each.
TEST(Elementary, SigmoidIsWithinFourUlps) {
  const auto reference = [](double x) {
    return x < 0.0 ? ::exp(x) / (1.0 + ::exp(x)) : 1.0 / (1.0 + ::exp(-x));
  };
  EXPECT_LE(worst_of_both_signs(kTiny, 86.6f, sigmoid<float>, reference), 4.0);
  EXPECT_EQ(sigmoid(1e4f), 1.0f);
  EXPECT_EQ(sigmoid(kInfinity), 1.0f);
  EXPECT_LT(sigmoid(-kInfinity), 3e-38f);
  EXPECT_TRUE(std::isnan(sigmoid(kNan)));
}

// From 0.625 on, 1 - tanh is at most 0.45, with an error of two ulps of exp and half an ulp of a
// quotient.
TEST(Elementary, TanhIsWithinTwoUlps) {
  EXPECT_LE(worst_of_both_signs(kTiny, 100.0f, tanh, ::tanh), 2.0);
  EXPECT_EQ(tanh(kInfinity), 1.0f);
  EXPECT_EQ(tanh(-kInfinity), -1.0f);
  EXPECT_TRUE(std::isnan(tanh(kNan)));
}

// The bound is absolute, one ulp of 1, because sines near zero need no relative accuracy.
TEST(Elementary, SincosTurnIsWithinAnUlpOfOne) {
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4099) {
    const double angle = 2.0 * 3.14159265358979323846 * (static_cast<double>(bits) + 0.5) * 0x1p-32;
    float sine, cosine;
    sincos_turn(static_cast<uint32_t>(bits), sine, cosine);
    ASSERT_NEAR(sine, ::sin(angle), 0x1p-23) << bits;
    ASSERT_NEAR(cosine, ::cos(angle), 0x1p-23) << bits;
  }
}

}  // namespace
}  // namespace elbo::math
