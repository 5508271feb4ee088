// The arithmetic of products of floats: panels of the right operand are vectors of floats; numbers
// of the left operand are read in place and multiplied with a vector each.
#pragma once

#include <array>

#include "kernels/cpu/packing.hpp"
#include "kernels/cpu/product.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

/// The step of a panel along K, and the prefetch distance in floats.
struct Apart {
  int64_t step, ahead;
};
struct Packed {};  // contiguous along K, and in the cache

/// sums (=) of a tile over the first `inner` indices of K, or sums (+=) over further ones.
template <int kRows, int kVectors, bool kFirst, class Places>
void sum_floats(int64_t inner, const float* a, int64_t line_step, int64_t inner_step,
                const float* panel, Places places, float* sums, int64_t step) {
  Vector sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      sum[r][v] = kFirst ? Vector{} : load(sums + r * step + v * kLanes);
  for (int64_t k = 0; k < inner; ++k) {
    Vector b[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) b[v] = load(panel + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vector number = broadcast(a[r * line_step]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = multiply_add(number, b[v], sum[r][v]);
    }
    if constexpr (std::is_same_v<Places, Packed>) {
      panel += kVectors * kLanes;
    } else {
      __builtin_prefetch(panel + places.ahead);
      panel += places.step;
    }
    a += inner_step;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(sums + r * step + v * kLanes, sum[r][v]);
}

class FloatProduct {
 public:
  // The sums of a tile, a vector of each operand and a broadcast number fill the registers.
  static constexpr int kTileRows = kLanes == 16 ? 8 : 4;

  static constexpr int64_t depth(int64_t inner) { return inner; }
  static constexpr int64_t left_size(int64_t) { return 0; }

  /// packed[k, lane] = b's `columns` columns as vectors, zeros beyond them.
  static void pack_right(const Factor& b, int64_t columns, Range vectors, Range inner,
                         float* packed) {
    const auto width = static_cast<int>((vectors.end - vectors.begin) * kLanes);
    const int64_t column = vectors.begin * kLanes,
                  there = std::min<int64_t>(width, columns - column);
    const int64_t count = inner.end - inner.begin;
    const float* from = b.data + column * b.line_step + inner.begin * b.inner_step;
    if (b.line_step != 1) {
      for (int c = 0; c < width; c += kLanes)
        pack_lines(from + c * b.line_step, b.line_step, there - c, count, packed + c, width);
      return;
    }
    const auto whole = static_cast<int>(there / kLanes * kLanes);
    for (int64_t k = 0; k < count; ++k, from += b.inner_step, packed += width) {
      for (int c = 0; c < whole; c += kLanes) store(packed + c, load(from + c));
      for (int c = whole; c < width; ++c) packed[c] = c < there ? from[c] : 0.0f;
    }
  }

  static Factor pack_left(const Factor& a, Range rows, Range inner, float*) {
    return {a.data + rows.begin * a.line_step + inner.begin * a.inner_step, a.line_step,
            a.inner_step};
  }

  static void sum(const Factor& left, int rows, int vectors, int64_t inner, const float* panel,
                  bool first, float* sums, int64_t step) {
    const auto run =
        first ? Sums<true, Packed>::of(rows, vectors) : Sums<false, Packed>::of(rows, vectors);
    run(inner, left.data, left.line_step, left.inner_step, panel, {}, sums, step);
  }

  /// The complete sums of a tile with a panel that is not packed.
  static void sum(const Factor& left, int rows, int vectors, int64_t inner, const float* panel,
                  Apart places, float* sums, int64_t step) {
    const auto run = Sums<true, Apart>::of(rows, vectors);
    run(inner, left.data, left.line_step, left.inner_step, panel, places, sums, step);
  }

 private:
  /// sum_floats for every number of rows and vectors.
  template <bool kFirst, class Places>
  class Sums {
    using Sum = void (*)(int64_t, const float*, int64_t, int64_t, const float*, Places, float*,
                         int64_t);

   public:
    static Sum of(int rows, int vectors) {
      return kAll[static_cast<size_t>(vectors - 1)][static_cast<size_t>(rows - 1)];
    }

   private:
    using Column = std::array<Sum, kTileRows>;
    template <int kVectors, int... kRow>
    static constexpr Column column(std::integer_sequence<int, kRow...>) {
      return {&sum_floats<kRow + 1, kVectors, kFirst, Places>...};
    }
    static constexpr auto kRows = std::make_integer_sequence<int, kTileRows>();
    static constexpr std::array<Column, kTileVectors> kAll = {column<1>(kRows), column<2>(kRows),
                                                              column<3>(kRows)};
  };
};

}  // namespace elbo::cpu::ELBO_CPU_ISA
