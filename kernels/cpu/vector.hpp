// A register of floats, as wide as the instruction set that a file is compiled for, and its name.
#pragma once

#include <cstddef>
#include <cstdint>
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
typedef float Quad __attribute__((vector_size(16)));
typedef float AnywhereQuad __attribute__((vector_size(16), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const AnywhereVector*>(from); }
inline void store(float* to, Vector v) { *reinterpret_cast<AnywhereVector*>(to) = v; }
inline Quad load_quad(const float* from) { return *reinterpret_cast<const AnywhereQuad*>(from); }
inline Vector broadcast(float value) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(value);
#elif defined(__AVX2__)
  return _mm256_set1_ps(value);
#else
  return Vector{value, value, value, value};
#endif
}

/// a * b + c: rounded once where the processor has that, as matrix products may be.
inline Vector multiply_add(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

/// In every block of four lanes, place p becomes lane kPick[p] of `a`'s block, or lane kPick[p] - 4
/// of `b`'s.
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

/// One quad of each of kLanes / 4 places, `step` floats apart, side by side.
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
