// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011), laid out as in cuRAND: for one (seed, subsequence), the
// four integers of group g are the numbers at offsets 4g .. 4g+3 of that subsequence.
//
// Every draw is a pure function of its address. Any division of the work among threads, devices or
// batches therefore draws the same noise, and a backward pass can draw it again instead of storing
// it.
#pragma once

#include "kernels/math/elementary.hpp"

namespace elbo::math {

/// The purpose of a draw; it separates the noise of one step into independent subsequences.
enum class NoiseStream : uint64_t {
  epsilon = 0,
  binarize = 1,
  dequantize = 2,
  shuffle = 3,
  initialize = 4,
  corrupt = 5,
  prior = 6,
  augment = 7,
};

/// The cuRAND subsequence of a stream at a step (steps below 2^56).
ELBO_HD uint64_t noise_subsequence(NoiseStream stream, uint64_t step) {
  return static_cast<uint64_t>(stream) << 56 | step;
}

/// The group of columns 4*quad .. 4*quad+3 of a row. `row` is the index in the data set, not in the
/// batch, so that the noise of a sample does not depend on the batches.
ELBO_HD uint64_t noise_group(uint32_t row, uint32_t quad) {
  return static_cast<uint64_t>(row) << 32 | quad;
}

struct Bits4 {
  uint32_t value[4];
};
struct Float4 {
  float value[4];
};

/// Scalar words for philox_rounds().
struct PhiloxWords {
  using Word = uint32_t;
  ELBO_HD static uint64_t product(uint32_t word, uint32_t factor) {
    return static_cast<uint64_t>(factor) * word;
  }
  ELBO_HD static uint32_t high(uint64_t product) { return static_cast<uint32_t>(product >> 32); }
  ELBO_HD static uint32_t low(uint64_t product) { return static_cast<uint32_t>(product); }
};

/// Turns the counter's four words into the drawn integers. Words may be vectors of words.
template <class Words>
ELBO_HD void philox_rounds(uint64_t seed, typename Words::Word (&c)[4]) {
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#if defined(__CUDA_ARCH__)
#pragma unroll
#elif !defined(__CUDACC__)
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    const auto p0 = Words::product(c[0], 0xD2511F53u);
    const auto p1 = Words::product(c[2], 0xCD9E8D57u);
    c[0] = Words::high(p1) ^ c[1] ^ k0;
    c[2] = Words::high(p0) ^ c[3] ^ k1;
    c[1] = Words::low(p1);
    c[3] = Words::low(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/// Group `group` of the subsequence: four uniform 32-bit integers.
ELBO_HD Bits4 philox4x32(uint64_t seed, uint64_t subsequence, uint64_t group) {
  Bits4 bits = {{static_cast<uint32_t>(group), static_cast<uint32_t>(group >> 32),
                 static_cast<uint32_t>(subsequence), static_cast<uint32_t>(subsequence >> 32)}};
  philox_rounds<PhiloxWords>(seed, bits.value);
  return bits;
}

/// Uniform in [0, 1) on a grid of 2^-24.
ELBO_HD float uniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

/// sin and cos of 2 pi (bits + 1/2) / 2^32: exact octant reduction, then polynomials on
/// [-pi/4, pi/4] (relative errors 4e-9 and 1e-10).
ELBO_HD void sincos_turn(uint32_t bits, float& sine, float& cosine) {
  const uint32_t quadrant = (bits + 0x20000000u) >> 30;
  const int32_t offset = static_cast<int32_t>(bits - (quadrant << 30));
  const float angle =
      fma(static_cast<float>(offset), 1.4629180792671596e-09f, 7.314590396335798e-10f);
  const float square = angle * angle;
  float s = -0.00019514957966748625f;
  s = fma(s, square, 0.00833215843886137f);
  s = fma(s, square, -0.16666655242443085f);
  s = fma(s * square, angle, angle);
  float c = 2.4432785721728578e-05f;
  c = fma(c, square, -0.0013887312961742282f);
  c = fma(c, square, 0.04166664555668831f);
  c = fma(c * square, square, fma(-0.5f, square, 1.0f));
  const bool swap = (quadrant & 1u) != 0;
  const float a = swap ? c : s, b = swap ? s : c;
  sine = as_float(as_bits(a) ^ ((quadrant & 2u) << 30));
  cosine = as_float(as_bits(b) ^ (((quadrant + 1u) & 2u) << 30));
}

/// Two standard normals from two integers (Box and Muller 1958), with exactly rounded operations
/// only, so that they have the same bits on every machine. |value| <= 6.77.
ELBO_HD void box_muller(uint32_t radius_bits, uint32_t angle_bits, float& first, float& second) {
  const float u = fma(static_cast<float>(radius_bits), 0x1p-32f, 0x1p-33f);  // (0, 1]
  const float radius = sqrt(max(-2.0f * log(u), 0.0f));
  float sine, cosine;
  sincos_turn(angle_bits, sine, cosine);
  first = radius * sine;
  second = radius * cosine;
}

/// The four standard normals of a group.
ELBO_HD Float4 normal4(uint64_t seed, uint64_t subsequence, uint64_t group) {
  const Bits4 bits = philox4x32(seed, subsequence, group);
  Float4 out;
  box_muller(bits.value[0], bits.value[1], out.value[0], out.value[1]);
  box_muller(bits.value[2], bits.value[3], out.value[2], out.value[3]);
  return out;
}

}  // namespace elbo::math
