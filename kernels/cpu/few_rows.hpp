// Products of few rows in floats, c as in product.hpp, where both factors' lines lie along the
// sums.
//
// Lanes run along the lines, too, and are added up at the end: nothing is packed, which takes as
// long as multiplying by some ten rows. What bounds such a product is how fast it reads b: lines
// that come next are asked for while these are multiplied.
#pragma once

#include <algorithm>

#include "kernels/cpu/product.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

class FewRows {
 public:
  /// Whether a product is made here: a matter of its shape, so that sums are always taken in the
  /// same order. From 64 rows on packing pays; short lines leave too little between additions of
  /// lanes.
  static bool suit(int64_t row_capacity, int64_t inner, const Factor& b) {
    return row_capacity <= kMostRows && inner >= kLeastInner && b.inner_step == 1;
  }

  /// As multiply() in product.hpp.
  template <class Finish>
  static void multiply(const Factor& a, const Factor& b, int64_t columns, int64_t inner, Range rows,
                       Range panels, Finish&& finish) {
    alignas(64) float sums[kMostRows * kTileColumns];
    const auto row_count = static_cast<int>(rows.end - rows.begin);
    if (row_count <= 0) return;
    const Shares tiles = {row_count, (row_count + kTileRows - 1) / kTileRows};
    const int64_t ahead = kTileLines * b.line_step / tiles.parts;  // floats to ask for with a tile
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      const Range vectors = panels_of(columns).range(static_cast<int>(p));
      const int64_t column = vectors.begin * kLanes;
      const auto count = static_cast<int>(std::min(columns, vectors.end * kLanes) - column);
      for (int c = 0; c < count; c += kTileLines) {
        const float* lines[kTileLines];  // the last one again where there are no more
        for (int j = 0; j < kTileLines; ++j)
          lines[j] = b.data + (column + std::min(c + j, count - 1)) * b.line_step;
        const float* next = lines[0] + kTileLines * b.line_step;
        for (int t = 0; t < tiles.parts; ++t) {
          const Range tile = tiles.range(t);
          sum(static_cast<int>(tile.end - tile.begin),
              a.data + (rows.begin + tile.begin) * a.line_step, a.line_step, lines, inner,
              next + t * ahead, sums + tile.begin * kTileColumns + c);
        }
      }
      finish(Tile{rows.begin, column, row_count, count, sums, kTileColumns});
    }
  }

 private:
  static constexpr int64_t kMostRows = 64, kLeastInner = 64;
  // A tile's sums, a vector of each of its rows and one of a line fill the registers.
  static constexpr int kTileRows = 3, kTileLines = kLanes == 16 ? 8 : 4;
  static_assert(kTileColumns % kTileLines == 0 && kTileLines % 4 == 0);

  static void sum(int rows, const float* a, int64_t line_step, const float* const* lines,
                  int64_t inner, const float* ahead, float* sums) {
    static_assert(kTileRows == 3);
    const auto run = rows == 3 ? &sum<3> : rows == 2 ? &sum<2> : &sum<1>;
    run(a, line_step, lines, inner, ahead, sums);
  }

  /// sums[r * kTileColumns + j] = the product of row r of a and line j. Where memory `ahead` ends,
  /// asking for it does no harm.
  template <int kRows>
  static void sum(const float* a, int64_t line_step, const float* const* lines, int64_t inner,
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
};

}  // namespace elbo::cpu::ELBO_CPU_ISA
