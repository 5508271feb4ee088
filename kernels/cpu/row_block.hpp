// Packs several short rows into one vector loop, so that no iteration is a partial vector.
#pragma once

#include <algorithm>

#include "kernels/cpu/noise.hpp"
#include "kernels/cpu/partition.hpp"
#include "kernels/cpu/vector.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

/// Consecutive rows in whole groups of four columns; short rows share vectors.
struct Block {
  alignas(64) float value[kNoiseColumns + kLanes] =
      {};  // the last vector of the last row may extend beyond
};

/// Layout of rows in a block.
struct Layout {
  /// Prefetch distance in numbers; memory may end before it.
  static constexpr int kAhead = 1024;

  int columns;

  int stride() const { return 4 * groups_for(columns); }
  int rows() const { return kNoiseColumns / stride(); }

  /// Reads a row and pads it with zeros. Rows must be read in ascending order: the padding may
  /// overlap the next row.
  void read(const float* from, Block& to, int64_t row) const {
    for_vectors([&](int c, int count) {
      __builtin_prefetch(from + c + kAhead);
      store(&to.value[row * stride() + c], load_some(from + c, count));
    });
  }
  void fill(float value, Block& to, int64_t row) const {
    for_vectors([&](int c, int) { store(&to.value[row * stride() + c], broadcast(value)); });
  }
  void copy(const Block& from, int64_t row, Block& to, int64_t to_row) const {
    for_vectors([&](int c, int) {
      store(&to.value[to_row * stride() + c], load(&from.value[row * stride() + c]));
    });
  }
  void write(const Block& from, int64_t row, float* to) const {
    for_vectors([&](int c, int count) {
      __builtin_prefetch(to + c + kAhead, 1);
      store_some(to + c, load(&from.value[row * stride() + c]), count);
    });
  }
  void add(const Block& from, int64_t row, Block& to, int64_t to_row) const {
    for_vectors([&](int c, int count) {
      float* sum = &to.value[to_row * stride() + c];
      store(sum, load(sum) + load_some(&from.value[row * stride() + c], count));
    });
  }
  void add_product(const Block& from, const Block& times, int64_t row, Block& to,
                   int64_t to_row) const {
    for_vectors([&](int c, int count) {
      alignas(64) float some[kLanes];
      store(some, load_some(&from.value[row * stride() + c], count));
      const float* factor = &times.value[row * stride() + c];
      float* sum = &to.value[to_row * stride() + c];
#pragma omp simd
      for (int lane = 0; lane < kLanes; ++lane)
        sum[lane] = math::fma(some[lane], factor[lane], sum[lane]);
    });
  }
  float sum(const Block& of, int64_t row) const {
    Vector sums = {};
    for_vectors([&](int c, int count) { sums += load_some(&of.value[row * stride() + c], count); });
    return ELBO_CPU_ISA::sum(sums);
  }

 private:
  template <class Use>
  void for_vectors(Use use) const {
    for (int c = 0; c < columns; c += kLanes) use(c, std::min(columns - c, kLanes));
  }
};

/// Calls work(rows) for as many rows at a time as fit in a block.
template <class Work>
void for_blocks(const Range& rows, const Layout& layout, Work work) {
  for (int64_t begin = rows.begin; begin < rows.end; begin += layout.rows())
    work(Range{begin, std::min(rows.end, begin + layout.rows())});
}

/// Calls work(rows, first column, layout) until all columns are done.
template <class Work>
void for_blocks(const Range& rows, int columns, Work work) {
  for (int first = 0; first < columns; first += kNoiseColumns) {
    const Layout layout = {std::min(kNoiseColumns, columns - first)};
    for_blocks(rows, layout, [&](const Range& some) { work(some, first, layout); });
  }
}

/// Calls body(i) for the numbers of these rows, rounded up to whole vectors.
template <class Body>
void for_numbers(const Range& rows, const Layout& layout, Body body) {
  const int count = static_cast<int>(rows.end - rows.begin) * layout.stride();
  for (int first = 0; first < count; first += kLanes)
#pragma omp simd
    for (int i = first; i < first + kLanes; ++i) body(i);
}

/// sums[row] = the sum of a row in the block; += after the row's first columns.
inline void add_rows(const Block& block, const Range& rows, int first, const Layout& layout,
                     float* sums) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float sum = layout.sum(block, row - rows.begin);
    sums[row] = first == 0 ? sum : sums[row] + sum;
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
