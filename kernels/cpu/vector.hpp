// A register of floats, as wide as the instruction set that a file is compiled for, and its name.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ELBO_STRINGIFY_(x) #x
#define ELBO_STRINGIFY(x) ELBO_STRINGIFY_(x)

namespace elbo::cpu::ELBO_CPU_ISA {

inline constexpr const char* kIsaName = ELBO_STRINGIFY(ELBO_CPU_ISA);

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef float AnywhereVector __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef uint64_t WideWords __attribute__((vector_size(4 * kLanes)));
typedef float Quad __attribute__((vector_size(16)));
typedef float AnywhereQuad __attribute__((vector_size(16), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const AnywhereVector*>(from); }
inline void store(float* to, Vector v) { *reinterpret_cast<AnywhereVector*>(to) = v; }

#if defined(__AVX2__) && !defined(__AVX512F__)
inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

/// The first `count` numbers of a vector, 0 <= count <= kLanes: loads fill the rest with zeros, and
/// stores do not touch memory beyond.
inline Vector load_some(const float* from, int count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#elif defined(__AVX2__)
  return _mm256_maskload_ps(from, first_lanes(count));
#else
  Vector v = {};
  std::memcpy(&v, from, sizeof(float) * static_cast<size_t>(count));
  return v;
#endif
}
inline void store_some(float* to, Vector v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(to, first_lanes(count), v);
#else
  std::memcpy(to, &v, sizeof(float) * static_cast<size_t>(count));
#endif
}

inline Quad load_quad(const float* from) { return *reinterpret_cast<const AnywhereQuad*>(from); }
inline void store_quad(float* to, Quad v) { *reinterpret_cast<AnywhereQuad*>(to) = v; }
inline WideWords load_wide(const uint64_t* from) {
  WideWords words;
  std::memcpy(&words, from, sizeof(words));
  return words;
}
/// first, first + 1, ...
template <int... kLane>
inline WideWords counting_from(uint64_t first, std::integer_sequence<int, kLane...>) {
  return WideWords{kLane...} + first;
}
inline WideWords counting_from(uint64_t first) {
  return counting_from(first, std::make_integer_sequence<int, kLanes / 2>());
}
inline Vector broadcast(float value) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(value);
#elif defined(__AVX2__)
  return _mm256_set1_ps(value);
#else
  return Vector{value, value, value, value};
#endif
}

/// The same vector, loaded only once. Otherwise compilers may load it at each use, and load ports
/// are the bottleneck.
inline Vector in_register(Vector v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#endif
  return v;
}

/// a * b + c, fused if the processor can; allowed in matrix products only.
inline Vector multiply_add(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

/// In every block of four lanes, position p becomes lane kPick[p] of `a`'s block, or lane kPick[p]
/// - 4 of `b`'s.
template <int... kPick, int... kLane>
inline Vector pick(Vector a, Vector b, std::integer_sequence<int, kLane...>) {
  constexpr int kPicks[] = {kPick...};
  return __builtin_shufflevector(
      a, b, (kLane / 4 * 4 + kPicks[kLane % 4] % 4 + kPicks[kLane % 4] / 4 * kLanes)...);
}
template <int... kPick>
inline Vector pick(Vector a, Vector b) {
  return pick<kPick...>(a, b, std::make_integer_sequence<int, kLanes>());
}

#if defined(__AVX2__)
inline auto join(Quad a, Quad b) { return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7); }
#endif

/// Transposes each 4 x 4 block of numbers: four lanes of four vectors.
inline void transpose_blocks(Vector (&v)[4]) {
  const Vector low = pick<0, 4, 1, 5>(v[0], v[1]), high = pick<2, 6, 3, 7>(v[0], v[1]);
  const Vector more_low = pick<0, 4, 1, 5>(v[2], v[3]), more_high = pick<2, 6, 3, 7>(v[2], v[3]);
  v[0] = pick<0, 1, 4, 5>(low, more_low);
  v[1] = pick<2, 3, 6, 7>(low, more_low);
  v[2] = pick<0, 1, 4, 5>(high, more_high);
  v[3] = pick<2, 3, 6, 7>(high, more_high);
}

/// The products of the lower halves.
inline WideWords multiply_halves(WideWords a, WideWords b) {
#if defined(__AVX512F__)
  return std::bit_cast<WideWords>(
      _mm512_maskz_mul_epu32(0xff, std::bit_cast<__m512i>(a), std::bit_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return std::bit_cast<WideWords>(
      _mm256_mul_epu32(std::bit_cast<__m256i>(a), std::bit_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return std::bit_cast<WideWords>(
      _mm_mul_epu32(std::bit_cast<__m128i>(a), std::bit_cast<__m128i>(b)));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/// The sum of the lanes, by halving.
template <int kHalf, int... kLane>
inline float sum_halves(Vector v, std::integer_sequence<int, kLane...> lanes) {
  v += __builtin_shufflevector(v, v, (kLane ^ kHalf)...);
  if constexpr (kHalf == 1)
    return v[0];
  else
    return sum_halves<kHalf / 2>(v, lanes);
}
inline float sum(Vector v) {
  return sum_halves<kLanes / 2>(v, std::make_integer_sequence<int, kLanes>());
}

/// The sums of four vectors' lanes.
inline Quad sum_each(Vector (&v)[4]) {
  transpose_blocks(v);
  const Vector blocks = (v[0] + v[1]) + (v[2] + v[3]);
#if defined(__AVX512F__)
  const auto half = __builtin_shufflevector(blocks, blocks, 0, 1, 2, 3, 4, 5, 6, 7) +
                    __builtin_shufflevector(blocks, blocks, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  const auto half = blocks;
#endif
#if defined(__AVX2__)
  return __builtin_shufflevector(half, half, 0, 1, 2, 3) +
         __builtin_shufflevector(half, half, 4, 5, 6, 7);
#else
  return half;
#endif
}

/// Gathers one quad from each of kLanes / 4 addresses, `step` floats apart.
inline Vector load_quads(const float* from, int64_t step) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(join(load_quad(from), load_quad(from + step)),
                                 join(load_quad(from + 2 * step), load_quad(from + 3 * step)), 0, 1,
                                 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(__AVX2__)
  return join(load_quad(from), load_quad(from + step));
#else
  (void)step;
  return load_quad(from);
#endif
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
