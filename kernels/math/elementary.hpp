// exp, log, tanh and related functions. In float they are branch-free, so that loops over them
// vectorise, and have the same bits on every CPU and on CUDA. In double, which tests differentiate,
// they are the standard library's.
//
// Polynomials: minimax fits in relative error made for this file (Lawson's weighted least squares);
// the error noted beside each is that of the fit, before float rounding.
#pragma once

#include "kernels/math/portable.hpp"

namespace elbo::math {

inline constexpr float kLogTwo = 0.693147180559945309f;
inline constexpr double kLogTwoPi = 1.83787706640934548356;

template <class T>
ELBO_HD T abs(T x) {
  return x < T(0) ? -x : x;
}
/// -1, 0 or 1; NaN for NaN.
template <class T>
ELBO_HD T sign(T x) {
  return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;
}
template <class T>
ELBO_HD T max(T a, T b) {
  return a < b ? b : a;
}
template <class T>
ELBO_HD T min(T a, T b) {
  return b < a ? b : a;
}

/// A clamped number, and the derivative of the clamp: 1 inside, 0 outside.
template <class T>
struct Clamped {
  T value;
  T derivative;
};

template <class T>
ELBO_HD Clamped<T> clamp(T raw, T low, T high) {
  const bool inside = raw >= low && raw <= high;
  // These comparisons pass NaN through.
  const T raised = raw < low ? low : raw;
  return {raised > high ? high : raised, inside ? T(1) : T(0)};
}

/// log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1]; relative error 8e-10 plus rounding.
ELBO_HD float log1p_reduced(float f) {
  float p = 0.06746640801429749f;
  p = fma(p, f, -0.11675652116537094f);
  p = fma(p, f, 0.11888162046670914f);
  p = fma(p, f, -0.1240558922290802f);
  p = fma(p, f, 0.14219552278518677f);
  p = fma(p, f, -0.1666799634695053f);
  p = fma(p, f, 0.2000211924314499f);
  p = fma(p, f, -0.25000008940696716f);
  p = fma(p, f, 0.3333331346511841f);
  const float square = f * f;
  return fma(square * f, p, fma(-0.5f, square, f));
}

/// e^x = 2^exponent * (1 + fraction), with |fraction| below 0.42.
struct ExpParts {
  float fraction;
  uint32_t exponent;  // modulo 2^32
};

ELBO_HD ExpParts exp_parts(float x) {
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: the low bits of the sum are the nearest integer
  const float shifted = fma(x, 1.44269504088896341f, kRound);
  const float k = shifted - kRound;
  float f = fma(k, -0.693145751953125f, x);  // log 2 in two parts; k times the first is exact
  f = fma(k, -1.42860682030941723212e-6f, f);
  float p = 0.0013814540579915047f;  // (e^f - 1 - f) / f^2, relative error 3e-9
  p = fma(p, f, 0.00836874544620514f);
  p = fma(p, f, 0.04166838899254799f);
  p = fma(p, f, 0.1666652113199234f);
  p = fma(p, f, 0.4999999403953552f);
  return {fma(f * f, p, f), as_bits(shifted) - as_bits(kRound)};
}

/// e^x for x from -86.6 to 89, or NaN; over 88.73 it is infinite.
ELBO_HD float exp_bounded(float x) {
  const ExpParts e = exp_parts(x);
  const float p = e.fraction + 1.0f;
  // Scale by 2 * 2^(k-1), so that k = 128 overflows to infinity and does not wrap around.
  return (p + p) * as_float((e.exponent + 126u) << 23);
}
ELBO_HD double exp_bounded(double x) { return ::exp(x); }

/// e^x for x <= 0, or NaN. Below -86.6 the result is the smallest one (2e-38).
ELBO_HD float exp_negative(float x) { return exp_bounded(x < -86.6f ? -86.6f : x); }
ELBO_HD double exp_negative(double x) { return ::exp(x); }

/// e^x for any x.
ELBO_HD float exp(float x) { return exp_negative(x > 89.0f ? 89.0f : x); }
ELBO_HD double exp(double x) { return ::exp(x); }

/// e^x - 1 for x from -86.6 to 0, accurate for tiny x.
ELBO_HD float expm1_negative(float x) {
  const ExpParts e = exp_parts(x);
  const float scale = as_float((e.exponent + 127u) << 23);
  return fma(scale, e.fraction, scale - 1.0f);
}
ELBO_HD double expm1_negative(double x) { return ::expm1(x); }

/// Natural logarithm of a positive, normal float.
ELBO_HD float log(float x) {
  constexpr uint32_t kSqrtHalf = 0x3f3504f3u;
  const uint32_t offset = as_bits(x) - kSqrtHalf;
  const float k = static_cast<float>(static_cast<int32_t>(offset) >> 23);
  const float m = as_float((offset & 0x007fffffu) + kSqrtHalf);
  const float tail = fma(k, 1.42860682030941723212e-6f, log1p_reduced(m - 1.0f));
  return fma(k, 0.693145751953125f, tail);
}
ELBO_HD double log(double x) { return ::log(x); }

/// log(sum) for a sum of e^(v - max v), which is at least 1. A smaller sum means that some v was
/// not finite; the result is then NaN, so that the loss shows it.
template <class T>
ELBO_HD T log_exp_sum(T sum) {
  return sum >= T(1) ? log(sum) : sum;
}

/// log(1 + x) for x in [0, 1], accurate for tiny x.
ELBO_HD float log1p_unit(float x) {
  const bool upper = x > 0.41421356f;  // then 1 + x = 2 * (1 + (x - 1) / 2)
  const float f = upper ? 0.5f * (x - 1.0f) : x;
  const float y = log1p_reduced(f);
  return upper ? y + kLogTwo : y;
}
ELBO_HD double log1p_unit(double x) { return ::log1p(x); }

/// log(1 + x) for x from 0 to 1e38, accurate for tiny x. The result for NaN is a number.
ELBO_HD float log1p_positive(float x) {
  constexpr uint32_t kSqrtHalf = 0x3f3504f3u;
  const uint32_t offset = as_bits(1.0f + x) - kSqrtHalf;
  const float k = static_cast<float>(static_cast<int32_t>(offset) >> 23);
  const float m = as_float((offset & 0x007fffffu) + kSqrtHalf);
  const float f = offset < 0x00800000u ? x : m - 1.0f;  // the rounding of 1 + x matters for small x
  const float tail = fma(k, 1.42860682030941723212e-6f, log1p_reduced(f));
  return fma(k, 0.693145751953125f, tail);
}
ELBO_HD double log1p_positive(double x) { return ::log1p(x); }

/// log(1 + e^x), without overflow.
template <class T>
ELBO_HD T softplus(T x) {
  return max(x, T(0)) + log1p_unit(exp_negative(-abs(x)));
}

/// 1 / (1 + e^-x), without overflow.
template <class T>
ELBO_HD T sigmoid(T x) {
  const T e = exp_negative(-abs(x));
  const T q = T(1) / (T(1) + e);
  return x < T(0) ? e * q : q;
}

ELBO_HD float tanh(float x) {
  const float magnitude = abs(x);
  const float square = x * x;
  float p = -0.0056973835453391075f;  // (tanh x - x) / x^3 for |x| < 0.625, relative error 5e-9
  p = fma(p, square, 0.0206325463950634f);
  p = fma(p, square, -0.05373779684305191f);
  p = fma(p, square, 0.13331420719623566f);
  p = fma(p, square, -0.3333328068256378f);
  const float small = fma(x * square, p, x);
  const float large = 1.0f - 2.0f / (exp(2.0f * magnitude) + 1.0f);
  return magnitude < 0.625f ? small : (x < 0.0f ? -large : large);
}
ELBO_HD double tanh(double x) { return ::tanh(x); }

}  // namespace elbo::math
