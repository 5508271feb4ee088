// Matrix products: c[row, column] = the sum over k of a[row, k] b[column, k].
//
// b is packed, a panel of columns after the other, so that a tile of c is summed up in registers
// from whole vectors of b and single numbers of a, which are read where they lie. What becomes of a
// tile's sums is the caller's, while they are in the nearest cache. Every sum runs over k in order,
// in blocks that depend on its length alone: how c is cut into tasks changes no bit of it.
#pragma once

#include <algorithm>
#include <array>

#include "kernels/cpu/partition.hpp"
#include "kernels/cpu/scratch.hpp"
#include "kernels/cpu/vector.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

/// Element k of line i is data[i * line_step + k * inner_step]. Of the right factor one step is 1.
struct Factor {
  const float* data = nullptr;
  int64_t line_step = 0;
  int64_t inner_step = 0;
};

// A tile's sums, a vector of each factor and a number to multiply by fill the registers.
inline constexpr int kTileRows = kLanes == 16 ? 8 : 4;
inline constexpr int kTileVectors = 3;
inline constexpr int kTileColumns = kTileVectors * kLanes;

/// Finished sums: those of row r are sums[r * kTileColumns] and the following.
struct Tile {
  int64_t row = 0, column = 0;  // the first ones
  int rows = 0, columns = 0;
  const float* sums = nullptr;

  template <class Use>  // use(row, column, the row's sums)
  void for_each_row(Use use) const {
    for (int r = 0; r < rows; ++r) use(row + r, column, sums + r * kTileColumns);
  }
};

/// The panels of a number of columns: up to three vectors each, and an even number of them where
/// they are many, for two threads to share.
inline Shares panels_of(int64_t columns) {
  const int64_t vectors = (columns + kLanes - 1) / kLanes;
  int64_t panels = (vectors + kTileVectors - 1) / kTileVectors;
  if (panels > 1) panels += panels % 2;
  return {vectors, static_cast<int>(panels)};
}

/// How a product is cut into tasks: blocks of rows, and of each some panels.
struct ProductTasks {
  Shares rows, panels;

  ProductTasks(int64_t row_count, int64_t columns, int64_t inner, int threads) {
    // A block of a's rows and a panel share a core's cache; a task is some microseconds of work.
    constexpr int64_t kMostRows = 256, kLeastRows = 16, kWorthwhile = 400'000;
    const Shares all = panels_of(columns);
    const int64_t work = std::max<int64_t>(1, row_count * columns * inner);
    const int64_t wanted = std::clamp<int64_t>(work / kWorthwhile, 1, 4 * int64_t{threads});
    const int64_t groups = std::min<int64_t>(all.parts, std::max<int64_t>(1, work / kWorthwhile));
    const int64_t blocks =
        std::clamp<int64_t>((wanted + groups - 1) / groups, (row_count + kMostRows - 1) / kMostRows,
                            std::max<int64_t>(1, row_count / kLeastRows));
    rows = {row_count, static_cast<int>(std::max<int64_t>(1, blocks))};
    panels = {all.parts, static_cast<int>(groups)};
  }

  int count() const { return rows.parts * panels.parts; }
  Range row_range(int task) const { return rows.range(task / panels.parts); }
  Range panel_range(int task) const { return panels.range(task % panels.parts); }
};

/// packed[k, lane] = the columns of `b` from `column` to `end` and zeros up to whole vectors, for
/// some inner places from `first` on.
inline void pack_panel(const Factor& b, int64_t column, int64_t end, int vectors, int64_t first,
                       int64_t count, float* packed) {
  const int width = vectors * kLanes;
  const float* from = b.data + column * b.line_step + first * b.inner_step;
  const int64_t columns = end - column;
  if (b.line_step == 1) {
    const auto whole = static_cast<int>(columns / kLanes);
    for (int64_t k = 0; k < count; ++k, from += b.inner_step, packed += width) {
      for (int v = 0; v < whole; ++v) store(packed + v * kLanes, load(from + v * kLanes));
      for (int c = whole * kLanes; c < width; ++c) packed[c] = c < columns ? from[c] : 0.0f;
    }
    return;
  }
  for (int v = 0; v < vectors; ++v) {
    const float* lines = from + v * kLanes * b.line_step;
    float* to = packed + v * kLanes;
    const int64_t there = std::min<int64_t>(kLanes, columns - v * kLanes);
    int64_t k = 0;
    if (there == kLanes) {
      for (; k + 4 <= count; k += 4) {  // quads of four lines at a time, transposed in registers
        Vector line[4];
        for (int m = 0; m < 4; ++m)
          line[m] = load_quads(lines + m * b.line_step + k, 4 * b.line_step);
        const Vector low = pick<0, 4, 1, 5>(line[0], line[1]);
        const Vector high = pick<2, 6, 3, 7>(line[0], line[1]);
        const Vector more_low = pick<0, 4, 1, 5>(line[2], line[3]);
        const Vector more_high = pick<2, 6, 3, 7>(line[2], line[3]);
        store(to + (k + 0) * width, pick<0, 1, 4, 5>(low, more_low));
        store(to + (k + 1) * width, pick<2, 3, 6, 7>(low, more_low));
        store(to + (k + 2) * width, pick<0, 1, 4, 5>(high, more_high));
        store(to + (k + 3) * width, pick<2, 3, 6, 7>(high, more_high));
      }
    }
    for (; k < count; ++k)
      for (int lane = 0; lane < kLanes; ++lane)
        to[k * width + lane] = lane < there ? lines[lane * b.line_step + k] : 0.0f;
  }
}

/// sums = those of a tile over `inner` places, added to what is there unless they are the first.
template <int kRows, int kVectors, bool kFirst>
void sum_tile(int64_t inner, const float* a, int64_t line_step, int64_t inner_step,
              const float* panel, float* sums) {
  Vector sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v)
      sum[r][v] = kFirst ? Vector{} : load(sums + r * kTileColumns + v * kLanes);
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
    panel += kVectors * kLanes;
    a += inner_step;
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(sums + r * kTileColumns + v * kLanes, sum[r][v]);
}

using SumTile = void (*)(int64_t, const float*, int64_t, int64_t, const float*, float*);

/// sum_tile for every number of rows and vectors.
template <bool kFirst>
class SumTiles {
 public:
  static SumTile of(int rows, int vectors) {
    return kAll[static_cast<size_t>(vectors - 1)][static_cast<size_t>(rows - 1)];
  }

 private:
  using Column = std::array<SumTile, kTileRows>;
  template <int kVectors, int... kRow>
  static constexpr Column column(std::integer_sequence<int, kRow...>) {
    return {&sum_tile<kRow + 1, kVectors, kFirst>...};
  }
  static constexpr auto kRows = std::make_integer_sequence<int, kTileRows>();
  static constexpr std::array<Column, kTileVectors> kAll = {column<1>(kRows), column<2>(kRows),
                                                            column<3>(kRows)};
};

/// Sums `rows` of a with some panels of b's columns, of which there are `columns`, and calls
/// finish(tile) for each tile; before it prepare(tile), without sums yet, to fetch what finishing
/// will take.
template <class Prepare, class Finish>
void multiply(const Factor& a, const Factor& b, int64_t columns, int64_t inner, Range rows,
              Range panels, Prepare&& prepare, Finish&& finish) {
  constexpr int64_t kMostInner = 1024;  // a panel of so many lies in a core's own cache
  const int64_t row_count = rows.end - rows.begin;
  if (row_count <= 0) return;
  const Shares blocks = {
      inner, static_cast<int>(std::max<int64_t>(1, (inner + kMostInner - 1) / kMostInner))};
  const Shares tiles = {row_count, static_cast<int>((row_count + kTileRows - 1) / kTileRows)};
  const int64_t most_inner = std::min(inner, kMostInner);
  const int64_t kept_rows = blocks.parts > 1 ? row_count : kTileRows;
  float* panel = thread_scratch(Scratch::product, (most_inner + kept_rows) * kTileColumns);
  float* sums = panel + most_inner * kTileColumns;
  const Shares all = panels_of(columns);
  for (int64_t p = panels.begin; p < panels.end; ++p) {
    const Range of_panel = all.range(static_cast<int>(p));
    const auto vectors = static_cast<int>(of_panel.end - of_panel.begin);
    const int64_t column = of_panel.begin * kLanes;
    const int64_t end = std::min(columns, of_panel.end * kLanes);
    for (int block = 0; block < blocks.parts; ++block) {
      const Range k = blocks.range(block);
      pack_panel(b, column, end, vectors, k.begin, k.end - k.begin, panel);
      for (int t = 0; t < tiles.parts; ++t) {
        const Range of_tile = tiles.range(t);
        Tile tile = {rows.begin + of_tile.begin, column,
                     static_cast<int>(of_tile.end - of_tile.begin), static_cast<int>(end - column),
                     nullptr};
        const bool last = block + 1 == blocks.parts;
        if (last) prepare(tile);
        float* place = blocks.parts > 1 ? sums + of_tile.begin * kTileColumns : sums;
        const SumTile sum = block == 0 ? SumTiles<true>::of(tile.rows, vectors)
                                       : SumTiles<false>::of(tile.rows, vectors);
        sum(k.end - k.begin, a.data + tile.row * a.line_step + k.begin * a.inner_step, a.line_step,
            a.inner_step, panel, place);
        tile.sums = place;
        if (last) finish(tile);
      }
    }
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
