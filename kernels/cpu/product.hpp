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

/// Finished sums of some rows and columns: those of row r are sums[r * step] and the following.
struct Tile {
  int64_t row = 0, column = 0;  // the first ones
  int rows = 0, columns = 0;
  const float* sums = nullptr;
  int64_t step = 0;

  template <class Use>  // use(row, the row's sums)
  void for_each_row(Use use) const {
    for (int r = 0; r < rows; ++r) use(row + r, sums + r * step);
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
  /// What is cut first: columns, so that no panel is packed twice, or rows, so that what lies side
  /// by side in the result is finished together.
  enum class By { columns, rows };

  Shares rows, panels;

  ProductTasks(int64_t row_count, int64_t columns, int64_t inner, int threads, By by) {
    // A block of a's rows and some panels share a core's cache; a task is some microseconds of
    // work.
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

/// packed[k, lane] = some vectors of b's `columns` columns, zeros beyond them, for a range of inner
/// places.
inline void pack_panel(const Factor& b, int64_t columns, Range vectors, Range inner,
                       float* packed) {
  const auto width = static_cast<int>((vectors.end - vectors.begin) * kLanes);
  const int64_t column = vectors.begin * kLanes, there = std::min<int64_t>(width, columns - column);
  const int64_t count = inner.end - inner.begin;
  const float* from = b.data + column * b.line_step + inner.begin * b.inner_step;
  if (b.line_step == 1) {
    const auto whole = static_cast<int>(there / kLanes * kLanes);
    for (int64_t k = 0; k < count; ++k, from += b.inner_step, packed += width) {
      for (int c = 0; c < whole; c += kLanes) store(packed + c, load(from + c));
      for (int c = whole; c < width; ++c) packed[c] = c < there ? from[c] : 0.0f;
    }
    return;
  }
  for (int c = 0; c < width; c += kLanes) {
    const float* lines = from + c * b.line_step;
    float* to = packed + c;
    int64_t k = 0;
    if (c + kLanes <= there) {
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
        to[k * width + lane] = c + lane < there ? lines[lane * b.line_step + k] : 0.0f;
  }
}

/// sums = those of a tile over `inner` places, added to what is there unless they are the first.
template <int kRows, int kVectors, bool kFirst>
void sum_tile(int64_t inner, const float* a, int64_t line_step, int64_t inner_step,
              const float* panel, float* sums, int64_t step) {
  Vector sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r)
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
    panel += kVectors * kLanes;
    a += inner_step;
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(sums + r * step + v * kLanes, sum[r][v]);
}

using SumTile = void (*)(int64_t, const float*, int64_t, int64_t, const float*, float*, int64_t);

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
/// finish(tile) for some rows and the columns of several panels at a time. Longer sums than
/// `most_inner` are taken in equal blocks.
template <class Finish>
void multiply(const Factor& a, const Factor& b, int64_t columns, int64_t inner, Range rows,
              Range panels, int64_t most_inner, Finish&& finish) {
  constexpr int64_t kMostPacked = 96 * 1024;  // floats, less than half a core's own cache
  const int64_t row_count = rows.end - rows.begin;
  if (row_count <= 0) return;
  const auto parts = [](int64_t total, int64_t most) {
    return Shares{total, static_cast<int>(std::max<int64_t>(1, (total + most - 1) / most))};
  };
  const Shares blocks = parts(inner, most_inner), tiles = parts(row_count, kTileRows);
  const int64_t panel_size = std::max<int64_t>(1, std::min(inner, most_inner)) * kTileColumns;
  const Shares groups =
      parts(panels.end - panels.begin, std::max<int64_t>(1, kMostPacked / panel_size));
  const int64_t together = (panels.end - panels.begin + groups.parts - 1) / groups.parts;
  const int64_t step = together * kTileColumns;
  const bool keeps_sums = blocks.parts > 1;
  float* packed = thread_scratch(
      Scratch::product, together * panel_size + (keeps_sums ? row_count : kTileRows) * step);
  float* sums = packed + together * panel_size;
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
        pack_panel(b, columns, vectors_of(p), k, packed + (p - of_group.begin) * panel_size);
      for (int t = 0; t < tiles.parts; ++t) {
        const Range of_tile = tiles.range(t);
        const auto tile_rows = static_cast<int>(of_tile.end - of_tile.begin);
        const int64_t row = rows.begin + of_tile.begin;
        const float* lines = a.data + row * a.line_step + k.begin * a.inner_step;
        float* place = sums + (keeps_sums ? of_tile.begin * step : 0);
        for (int64_t p = of_group.begin; p < of_group.end; ++p) {
          const Range vectors = vectors_of(p);
          const auto count = static_cast<int>(vectors.end - vectors.begin);
          const SumTile sum = block == 0 ? SumTiles<true>::of(tile_rows, count)
                                         : SumTiles<false>::of(tile_rows, count);
          sum(k.end - k.begin, lines, a.line_step, a.inner_step,
              packed + (p - of_group.begin) * panel_size, place + vectors.begin * kLanes - column,
              step);
        }
        if (block + 1 == blocks.parts)
          finish(Tile{row, column, tile_rows, static_cast<int>(end - column), place, step});
      }
    }
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
