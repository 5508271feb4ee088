// Macros and functions with which one formula compiles for a CPU, for a GPU and for the emulator of
// the tests.
//
// Both compilers do not contract a*b+c (-ffp-contract=off, -fmad=false), so an expression rounds
// the same everywhere and every fused multiply-add is an explicit fma().
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define ELBO_HD __host__ __device__ __forceinline__
#else
#define ELBO_HD inline __attribute__((always_inline))
#endif

namespace elbo::math {

ELBO_HD float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
ELBO_HD double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
ELBO_HD float sqrt(float a) { return __builtin_sqrtf(a); }
ELBO_HD double sqrt(double a) { return __builtin_sqrt(a); }

/// Reinterprets bits; unlike a call to memcpy, it vectorises.
ELBO_HD float as_float(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return __builtin_bit_cast(float, bits);
#endif
}
ELBO_HD uint32_t as_bits(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  return __builtin_bit_cast(uint32_t, value);
#endif
}

/// std::bit_width, which is not device code.
ELBO_HD int bit_width(uint32_t x) {
#if defined(__CUDA_ARCH__)
  return 32 - __clz(static_cast<int>(x));
#else
  return std::bit_width(x);
#endif
}

}  // namespace elbo::math
