// Matrix products: c[row, column] = the sum over k of a[row, k] b[column, k].
//
// b is packed panel by panel, so that a tile of c is accumulated in registers from whole vectors of
// b. An arithmetic defines how operands are packed and tiles are accumulated: float
// (float_product.hpp) or bfloat16 (bfloat16_product.hpp). The caller applies its epilogue to the
// sums of a tile while they are in the nearest cache. Every sum runs over k in order, in blocks
// that depend only on K, so the division of c into tasks does not change any bit.
#pragma once

#include <algorithm>

#include "kernels/cpu/partition.hpp"
#include "kernels/cpu/scratch.hpp"
#include "kernels/cpu/vector.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

/// Element k of line i is data[i * line_step + k * inner_step]. One of the right operand's steps is
/// 1.
struct Factor {
  const float* data = nullptr;
  int64_t line_step = 0;
  int64_t inner_step = 0;
};

// Vectors of a panel, such that the sums of a tile fit in registers.
inline constexpr int kTileVectors = 3;
inline constexpr int kTileColumns = kTileVectors * kLanes;

/// Complete sums of a tile: row r begins at sums[r * step].
struct Tile {
  int64_t row = 0, column = 0;  // the first of each
  int rows = 0, columns = 0;
  const float* sums = nullptr;
  int64_t step = 0;

  template <class Use>  // use(row, the row's sums)
  void for_each_row(Use use) const {
    for (int r = 0; r < rows; ++r) use(row + r, sums + r * step);
  }
};

/// The panels of a number of columns: up to three vectors each; if there are many, their number is
/// even, so that two threads can share them.
inline Shares panels_of(int64_t columns) {
  const int64_t vectors = (columns + kLanes - 1) / kLanes;
  int64_t panels = (vectors + kTileVectors - 1) / kTileVectors;
  if (panels > 1) panels += panels % 2;
  return {vectors, static_cast<int>(panels)};
}

/// Division of a product into tasks: blocks of rows, and several panels of each.
struct ProductTasks {
  /// The first dimension to divide: columns, so that no panel is packed twice, or rows, so that
  /// contiguous results are completed together.
  enum class By { columns, rows };

  Shares rows, panels;

  ProductTasks(int64_t row_count, int64_t columns, int64_t inner, int threads, By by) {
    // A block of a's rows and several panels share a core's cache; a task takes several
    // microseconds.
    constexpr int64_t kMostRows = 256, kLeastRows = 16, kWorthwhile = 400'000, kTasksPerThread = 2;
    const int64_t all = panels_of(columns).parts;
    const int64_t most = std::max<int64_t>(1, row_count / kLeastRows);
    const int64_t wanted = std::clamp<int64_t>(row_count * columns * inner / kWorthwhile, 1,
                                               kTasksPerThread * threads);
    const auto rest = [&](int64_t others) { return (wanted + others - 1) / others; };
    int64_t blocks, groups;
    if (by == By::columns) {
      groups = std::min(all, wanted);
      blocks =
          std::clamp(rest(groups), std::min(most, (row_count + kMostRows - 1) / kMostRows), most);
    } else {
      blocks = std::min(most, wanted);
      groups = std::min(all, rest(blocks));
    }
    rows = {row_count, static_cast<int>(blocks)};
    panels = {all, static_cast<int>(groups)};
  }

  int count() const { return rows.parts * panels.parts; }
  Range row_range(int task) const { return rows.range(task / panels.parts); }
  Range panel_range(int task) const { return panels.range(task % panels.parts); }
};

/// Multiplies `rows` of a with panels of b's `columns` columns, and calls finish(tile) for several
/// rows and the columns of several panels at a time. If K exceeds `most_inner`, it is divided into
/// equal blocks.
///
/// An Arithmetic has, for tiles of up to kTileRows rows and kTileVectors vectors:
///   depth(inner): lines of a packed panel for this K, each one float per column;
///   left_size(inner): floats to pack the rows of a tile;
///   pack_right(b, columns, vectors, inner, packed): a panel;
///   pack_left(a, rows, inner, packed): a tile's rows, to be given to
///   sum(left, rows, vectors, inner, panel, first, sums, step): a tile's sums over some inner
///     places, added to what is there unless they are the first ones; it may write whole tiles.
template <class Arithmetic, class Finish>
void multiply(const Arithmetic& arithmetic, const Factor& a, const Factor& b, int64_t columns,
              int64_t inner, Range rows, Range panels, int64_t most_inner, Finish&& finish) {
  constexpr int64_t kMostPacked = 96 * 1024;  // floats, less than half a core's own cache
  constexpr int kTileRows = Arithmetic::kTileRows;
  const int64_t row_count = rows.end - rows.begin;
  if (row_count <= 0) return;
  const auto parts = [](int64_t total, int64_t most) {
    return Shares{total, static_cast<int>(std::max<int64_t>(1, (total + most - 1) / most))};
  };
  const Shares blocks = parts(inner, most_inner), tiles = parts(row_count, kTileRows);
  const int64_t longest = std::max<int64_t>(1, std::min(inner, most_inner));
  const int64_t panel_size = Arithmetic::depth(longest) * kTileColumns;
  const Shares groups =
      parts(panels.end - panels.begin, std::max<int64_t>(1, kMostPacked / panel_size));
  const int64_t together = (panels.end - panels.begin + groups.parts - 1) / groups.parts;
  const int64_t step = together * kTileColumns;
  const bool keeps_sums = blocks.parts > 1;
  const int64_t sums_size = (keeps_sums ? tiles.parts : 1) * kTileRows * step;
  float* packed = thread_scratch(
      Scratch::product, together * panel_size + sums_size + Arithmetic::left_size(longest));
  float* sums = packed + together * panel_size;
  float* packed_left = sums + sums_size;
  const Shares all = panels_of(columns);
  for (int group = 0; group < groups.parts; ++group) {
    const Range of_group = groups.range(group);
    const auto vectors_of = [&](int64_t p) {
      return all.range(static_cast<int>(panels.begin + p));
    };
    const int64_t column = vectors_of(of_group.begin).begin * kLanes;
    const int64_t end = std::min(columns, vectors_of(of_group.end - 1).end * kLanes);
    for (int block = 0; block < blocks.parts; ++block) {
      const Range k = blocks.range(block);
      for (int64_t p = of_group.begin; p < of_group.end; ++p)
        arithmetic.pack_right(b, columns, vectors_of(p), k,
                              packed + (p - of_group.begin) * panel_size);
      for (int t = 0; t < tiles.parts; ++t) {
        const Range of_tile = tiles.range(t);
        const auto tile_rows = static_cast<int>(of_tile.end - of_tile.begin);
        const int64_t row = rows.begin + of_tile.begin;
        const auto left = arithmetic.pack_left(a, {row, row + tile_rows}, k, packed_left);
        float* place = sums + (keeps_sums ? t * kTileRows * step : 0);
        for (int64_t p = of_group.begin; p < of_group.end; ++p) {
          const Range vectors = vectors_of(p);
          arithmetic.sum(left, tile_rows, static_cast<int>(vectors.end - vectors.begin),
                         k.end - k.begin, packed + (p - of_group.begin) * panel_size, block == 0,
                         place + vectors.begin * kLanes - column, step);
        }
        if (block + 1 == blocks.parts)
          finish(Tile{row, column, tile_rows, static_cast<int>(end - column), place, step});
      }
    }
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
