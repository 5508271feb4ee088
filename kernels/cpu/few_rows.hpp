// Products of few rows in floats, c as in product.hpp, whose right operand is read in place.
//
// Packing b costs as much as multiplying about ten rows, so it does not pay. The product is bound
// by the bandwidth of b; the next lines are prefetched while the current ones are multiplied.
#pragma once

#include <algorithm>

#include "kernels/cpu/float_product.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

class FewRows {
 public:
  /// Whether a product is computed here. This depends only on its shape, so that its sums always
  /// have the same order.
  static bool suit(int64_t row_capacity, int64_t inner, const Factor& b) {
    return row_capacity <= kMostRows && (b.line_step == 1 || inner >= kLeastInner);
  }

  /// Like multiply() in product.hpp.
  template <class Finish>
  static void multiply(const Factor& a, const Factor& b, int64_t columns, int64_t inner, Range rows,
                       Range panels, Finish&& finish) {
    alignas(64) float sums[kMostRows * kTileColumns];
    const Factor from_first = {a.data + rows.begin * a.line_step, a.line_step, a.inner_step};
    const auto row_count = static_cast<int>(rows.end - rows.begin);
    if (row_count <= 0) return;
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const Range vectors = panels_of(columns).range(static_cast<int>(p));
      const int64_t column = vectors.begin * kLanes;
      const int64_t end = std::min(columns, vectors.end * kLanes);
      if (b.line_step == 1)
        sum_columns(from_first, row_count, b, columns, vectors, inner, sums);
      else
        sum_lines(from_first, row_count, b, {column, end}, inner, sums);
      finish(
          Tile{rows.begin, column, row_count, static_cast<int>(end - column), sums, kTileColumns});
    }
  }

 private:
  // With more rows packing is cheap in comparison; with shorter lines the sums over lanes are
  // expensive.
  static constexpr int64_t kMostRows = 32, kLeastInner = 8 * kLanes;

  /// Columns that are contiguous in memory: lanes run across columns, as in packed panels.
  static void sum_columns(const Factor& a, int row_count, const Factor& b, int64_t columns,
                          Range vectors, int64_t inner, float* sums) {
    const Shares tiles = tiles_of(row_count, FloatProduct::kTileRows);
    const auto count = static_cast<int>(vectors.end - vectors.begin);
    const float* panel = b.data + vectors.begin * kLanes;
    int64_t panel_step = b.inner_step;
    if (vectors.end * kLanes > columns) {  // reading beyond b's last line is not allowed
      float* packed = thread_scratch(Scratch::product, inner * kTileColumns);
      FloatProduct::pack_right(b, columns, vectors, {0, inner}, packed);
      panel = packed;
      panel_step = count * kLanes;
    }
    for (int t = 0; t < tiles.parts; ++t) {
      const Range tile = tiles.range(t);
      const int64_t ahead = (count + t % count) * kLanes;  // a vector of the next columns
      FloatProduct::sum({a.data + tile.begin * a.line_step, a.line_step, a.inner_step},
                        static_cast<int>(tile.end - tile.begin), count, inner, panel,
                        Apart{panel_step, ahead}, sums + tile.begin * kTileColumns, kTileColumns);
    }
  }

  // Lines per tile: the sums, one vector of each row and one of a line fill the registers.
  static constexpr int kTileRows = 3, kTileLines = kLanes == 16 ? 8 : 4;
  static_assert(kTileColumns % kTileLines == 0 && kTileLines % 4 == 0);

  /// Columns whose lines are contiguous along K: lanes run along K and are summed at the end.
  static void sum_lines(const Factor& a, int row_count, const Factor& b, Range columns,
                        int64_t inner, float* sums) {
    const Shares tiles = tiles_of(row_count, kTileRows);
    const int64_t ahead = kTileLines * b.line_step / tiles.parts;  // floats to prefetch per tile
    for (int64_t column = columns.begin; column < columns.end; column += kTileLines) {
      const float* lines[kTileLines];  // the last one is repeated
      for (int j = 0; j < kTileLines; ++j)
        lines[j] = b.data + std::min(column + j, columns.end - 1) * b.line_step;
      const float* next = lines[0] + kTileLines * b.line_step;
      for (int t = 0; t < tiles.parts; ++t) {
        const Range tile = tiles.range(t);
        const auto rows = static_cast<int>(tile.end - tile.begin);
        const auto sum = rows == 3 ? &sum_tile<3> : rows == 2 ? &sum_tile<2> : &sum_tile<1>;
        sum(a.data + tile.begin * a.line_step, a.line_step, lines, inner, next + t * ahead,
            sums + tile.begin * kTileColumns + (column - columns.begin));
      }
    }
  }

  /// sums[r * kTileColumns + j] = the product of row r of a and line j. Prefetching `ahead` beyond
  /// the end of memory is harmless.
  template <int kRows>
  static void sum_tile(const float* a, int64_t line_step, const float* const* lines, int64_t inner,
                       const float* ahead, float* sums) {
    Vector sum[kRows][kTileLines] = {};
    const auto add = [&](auto load_from) {
      Vector x[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) x[r] = load_from(a + r * line_step);
#pragma GCC unroll 8
      for (int j = 0; j < kTileLines; ++j) {
        const Vector line = in_register(load_from(lines[j]));
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) sum[r][j] = multiply_add(x[r], line, sum[r][j]);
      }
    };
    int64_t k = 0;
    for (; k + kLanes <= inner; k += kLanes) {
      __builtin_prefetch(ahead + k);
      add([=](const float* from) { return load(from + k); });
    }
    if (k < inner)
      add([=](const float* from) { return load_some(from + k, static_cast<int>(inner - k)); });
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (int j = 0; j < kTileLines; j += 4) {
        Vector four[4] = {sum[r][j], sum[r][j + 1], sum[r][j + 2], sum[r][j + 3]};
        store_quad(sums + r * kTileColumns + j, sum_each(four));
      }
  }

  static Shares tiles_of(int rows, int most) { return {rows, (rows + most - 1) / most}; }
};

}  // namespace elbo::cpu::ELBO_CPU_ISA
