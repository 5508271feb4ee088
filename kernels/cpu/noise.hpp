// The numbers of many noise groups, one vector of groups at a time, with the bits of
// math/philox.hpp.
#pragma once

#include "kernels/cpu/vector.hpp"
#include "kernels/math/philox.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

inline constexpr int kNoiseGroups = 64;
inline constexpr int kNoiseColumns = 4 * kNoiseGroups;

inline int groups_for(int columns) { return (columns + 3) / 4; }

/// Words in the lower halves of wide words; the upper halves are arbitrary.
struct WidePhiloxWords {
  using Word = WideWords;
  static WideWords product(WideWords word, uint32_t factor) {
    return multiply_halves(word, WideWords{} + factor);
  }
  static WideWords high(WideWords product) { return product >> 32; }
  static WideWords low(WideWords product) { return product; }
};

/// Draws kLanes groups, integer l into drawn[l], with the groups in the order that
/// transpose_blocks() turns into neighbours. `groups` contains the first half of them, `more` the
/// second.
inline void philox(uint64_t seed, uint64_t subsequence, WideWords groups, WideWords more,
                   Vector (&drawn)[4]) {
  WideWords low[] = {groups, groups >> 32, WideWords{} + subsequence,
                     WideWords{} + (subsequence >> 32)};
  WideWords high[] = {more, more >> 32, low[2], low[3]};
  math::philox_rounds<WidePhiloxWords>(seed, low);
  math::philox_rounds<WidePhiloxWords>(seed, high);
  for (int l = 0; l < 4; ++l) {
    constexpr auto join =
        []<int... kLane>(Vector a, Vector b, std::integer_sequence<int, kLane...>) {
      return __builtin_shufflevector(a, b, 2 * (kLane % 4 * (kLanes / 4) + kLane / 4)...);
    };
    drawn[l] = join(std::bit_cast<Vector>(low[l]), std::bit_cast<Vector>(high[l]),
                    std::make_integer_sequence<int, kLanes>());
  }
}

/// out[4 * i .. 4 * i + 3] = number[0 .. 3][i]: vectors of the groups in philox()'s order.
inline void store_groups(Vector (&number)[4], float* out) {
  transpose_blocks(number);
  for (int j = 0; j < 4; ++j) store(out + j * kLanes, number[j]);
}

/// out[4 * i .. 4 * i + 3] = the integers of group first + i, for i < count. Whole vectors of
/// groups are written, here and below.
inline void bits(uint64_t seed, uint64_t subsequence, uint64_t first, int count, uint32_t* out) {
  for (int i = 0; i < count; i += kLanes) {
    const WideWords groups = counting_from(first + static_cast<uint64_t>(i));
    Vector drawn[4];  // of bits, without float arithmetic
    philox(seed, subsequence, groups, groups + kLanes / 2, drawn);
    store_groups(drawn, reinterpret_cast<float*>(out) + 4 * i);
  }
}

/// The normals of groups[i], for i < count <= kNoiseGroups; whole vectors of groups are read.
inline void normals(uint64_t seed, uint64_t subsequence, const uint64_t* groups, int count,
                    float* out) {
  alignas(64) uint32_t drawn[4][kNoiseGroups];
  alignas(64) float normal[4][kNoiseGroups];
  for (int i = 0; i < count; i += kLanes) {
    Vector integers[4];
    philox(seed, subsequence, load_wide(groups + i), load_wide(groups + i + kLanes / 2), integers);
    for (int l = 0; l < 4; ++l) std::memcpy(drawn[l] + i, &integers[l], sizeof(Vector));
  }
  for (int i = 0; i < count; i += kLanes)
#pragma omp simd
    for (int lane = i; lane < i + kLanes; ++lane) {
      math::box_muller(drawn[0][lane], drawn[1][lane], normal[0][lane], normal[1][lane]);
      math::box_muller(drawn[2][lane], drawn[3][lane], normal[2][lane], normal[3][lane]);
    }
  for (int i = 0; i < count; i += kLanes) {
    Vector number[4];
    for (int l = 0; l < 4; ++l) number[l] = load(normal[l] + i);
    store_groups(number, out + 4 * i);
  }
}

/// The same for groups first + i.
inline void normals(uint64_t seed, uint64_t subsequence, uint64_t first, int count, float* out) {
  alignas(64) uint64_t groups[kNoiseGroups];
  for (int i = 0; i < kNoiseGroups; ++i) groups[i] = first + static_cast<uint64_t>(i);
  normals(seed, subsequence, groups, count, out);
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
