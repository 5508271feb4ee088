#include "kernels/cpu/bfloat16_kernels.hpp"

#include <algorithm>

#include "kernels/cpu/vector.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

constexpr int kTileRows = Bfloat16Kernels::kTileRows;

#if defined(__AVX512BF16__)

Vector join_line(Vector low, Vector high) {
  return std::bit_cast<Vector>(_mm512_cvtne2ps_pbh(high, low));
}
Vector join(Vector even, Vector odd) {
  typedef uint16_t Halves __attribute__((vector_size(64)));
  constexpr Halves kInterleaved = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                   8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return std::bit_cast<Vector>(
      _mm512_permutexvar_epi16(std::bit_cast<__m512i>(kInterleaved),
                               std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even))));
}

#else

/// Rounds in the upper halves, as math::to_bfloat16() does.
Words rounded(Vector numbers) {
  const Words bits = std::bit_cast<Words>(numbers);
  const Words nearest = bits + 0x7fffu + ((bits >> 16) & 1u);
  return (bits & 0x7fffffffu) > 0x7f800000u ? (bits | 0x400000u) : nearest;
}
Vector join(Vector even, Vector odd) {
  return std::bit_cast<Vector>((rounded(even) >> 16) | (rounded(odd) & 0xffff0000u));
}
template <int... kLane>
Vector join_line(Vector low, Vector high, std::integer_sequence<int, kLane...>) {
  return join(__builtin_shufflevector(low, high, 2 * kLane...),
              __builtin_shufflevector(low, high, (2 * kLane + 1)...));
}
Vector join_line(Vector low, Vector high) {
  return join_line(low, high, std::make_integer_sequence<int, kLanes>());
}

#endif

void round_line(const float* from, int64_t count, float* words, int64_t block_step) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes, words += block_step)
    store(words, join_line(load(from + i), load(from + i + kLanes)));
  if (i == count) return;
  const int rest = static_cast<int>(count - i), low = std::min(rest, kLanes);
  store(words, join_line(load_some(from + i, low), load_some(from + i + low, rest - low)));
}

void round_pair(const float* even, const float* odd, int64_t count, float* words, int64_t width) {
  int64_t i = 0;
  if (odd != nullptr)
    for (; i + kLanes <= count; i += kLanes) store(words + i, join(load(even + i), load(odd + i)));
  for (; i < width; i += kLanes) {
    const int some = static_cast<int>(std::clamp<int64_t>(count - i, 0, kLanes));
    const Vector odds = odd == nullptr ? Vector{} : load_some(odd + i, some);
    store(words + i, join(load_some(even + i, some), odds));
  }
}

#if defined(__AMX_BF16__)

/// Configures all tile registers as 16 lines of 64 bytes.
void begin() {
  struct Configuration {
    uint8_t palette, first_line, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
  };
  // In static memory: GCC's intrinsic does not declare that it reads all of the object, and could
  // otherwise drop its stores.
  alignas(64) static constexpr Configuration configuration = {
      1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&configuration);
}
void end() { _tile_release(); }

/// Registers 0 to 2 hold sums, 3 the left operand, 4 to 6 the panel. Only tile instructions access
/// memory here, because GCC's intrinsics do not declare their accesses.
template <int kVectors, bool kFirst>
void sum_tile(int64_t blocks, const float* left, const float* panel, int /*rows*/, float* sums,
              int64_t step) {
  constexpr int kLine = kVectors * 64;
  const int64_t sums_line = step * 4;
  if constexpr (kFirst) {
    _tile_zero(0);
    if constexpr (kVectors > 1) _tile_zero(1);
    if constexpr (kVectors > 2) _tile_zero(2);
  } else {
    _tile_loadd(0, sums, sums_line);
    if constexpr (kVectors > 1) _tile_loadd(1, sums + kLanes, sums_line);
    if constexpr (kVectors > 2) _tile_loadd(2, sums + 2 * kLanes, sums_line);
  }
  for (int64_t block = 0; block < blocks; ++block) {
    _tile_loadd(3, left, 64);
    _tile_loadd(4, panel, kLine);
    _tile_dpbf16ps(0, 3, 4);
    if constexpr (kVectors > 1) {
      _tile_loadd(5, panel + kLanes, kLine);
      _tile_dpbf16ps(1, 3, 5);
    }
    if constexpr (kVectors > 2) {
      _tile_loadd(6, panel + 2 * kLanes, kLine);
      _tile_dpbf16ps(2, 3, 6);
    }
    left += kTileRows * kLanes;
    panel += kLanes * kVectors * kLanes;
  }
  _tile_stored(0, sums, sums_line);
  if constexpr (kVectors > 1) _tile_stored(1, sums + kLanes, sums_line);
  if constexpr (kVectors > 2) _tile_stored(2, sums + 2 * kLanes, sums_line);
}

#else

void begin() {}
void end() {}

#if defined(__AVX512BF16__)

constexpr int kRowsTogether = 8;  // their sums and one line of the panel fill the registers

struct Sum {
  Vector value;

  void add(Vector left, Vector right) {
    value = std::bit_cast<Vector>(_mm512_dpbf16_ps(std::bit_cast<__m512>(value),
                                                   std::bit_cast<__m512bh>(left),
                                                   std::bit_cast<__m512bh>(right)));
  }
  void end_tile() {}
};

#else

constexpr int kRowsTogether = kLanes == 16 ? 4 : 2;

Vector even(Vector words) { return std::bit_cast<Vector>(std::bit_cast<Words>(words) << 16); }
Vector odd(Vector words) {
  return std::bit_cast<Vector>(std::bit_cast<Words>(words) & 0xffff0000u);
}

/// In the order of AMX, for the same bits: the even and odd positions of a tile are summed
/// separately, then both sums are added to the result. The product of two bfloat16 numbers is exact
/// in float.
struct Sum {
  Vector value;
  Vector evens = {}, odds = {};

  void add(Vector left, Vector right) {
    evens = multiply_add(even(left), even(right), evens);
    odds = multiply_add(odd(left), odd(right), odds);
  }
  void end_tile() {
    value += evens + odds;
    evens = odds = Vector{};
  }
};

#endif

template <int kVectors, bool kFirst>
void sum_rows(int64_t blocks, const float* left, const float* panel, float* sums, int64_t step) {
  constexpr int kTileBlocks = 16 / kLanes;  // of one of AMX's tiles
  Sum all[kRowsTogether][kVectors];
  for (int r = 0; r < kRowsTogether; ++r)
    for (int v = 0; v < kVectors; ++v)
      all[r][v] = {kFirst ? Vector{} : load(sums + r * step + v * kLanes)};
  for (int64_t block = 0; block < blocks; ++block, left += kTileRows * kLanes) {
    for (int word = 0; word < kLanes; ++word, panel += kVectors * kLanes)
#pragma GCC unroll 8
      for (int r = 0; r < kRowsTogether; ++r) {
        const Vector number = broadcast(left[r * kLanes + word]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) all[r][v].add(number, load(panel + v * kLanes));
      }
    if ((block + 1) % kTileBlocks != 0 && block + 1 < blocks) continue;
    for (auto& row : all)
      for (Sum& sum : row) sum.end_tile();
  }
  for (int r = 0; r < kRowsTogether; ++r)
    for (int v = 0; v < kVectors; ++v) store(sums + r * step + v * kLanes, all[r][v].value);
}

template <int kVectors, bool kFirst>
void sum_tile(int64_t blocks, const float* left, const float* panel, int rows, float* sums,
              int64_t step) {
  for (int r = 0; r < rows; r += kRowsTogether)
    sum_rows<kVectors, kFirst>(blocks, left + r * kLanes, panel, sums + r * step, step);
}

#endif

}  // namespace

const Bfloat16Kernels bfloat16_kernels = {.name = kIsaName,
                                          .lanes = kLanes,
                                          .round_line = round_line,
                                          .round_pair = round_pair,
                                          .sum = {{sum_tile<1, false>, sum_tile<1, true>},
                                                  {sum_tile<2, false>, sum_tile<2, true>},
                                                  {sum_tile<3, false>, sum_tile<3, true>}},
                                          .begin = begin,
                                          .end = end};

}  // namespace elbo::cpu::ELBO_CPU_ISA
