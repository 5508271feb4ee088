// Contract: reductions in a fixed order. No atomics: two runs give the same bits.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"

namespace elbo {

/// out[c] = sum over the active rows of x[r, c], in double; with `accumulate` it is added (+=).
struct ColumnSum {
  static constexpr std::string_view name = "column_sum";
  Rows rows;
  int32_t columns = 0;
  ConstReals x;          // [rows, columns]
  float* out = nullptr;  // [columns]
  bool accumulate = false;

  AccessList accesses() const {
    AccessList list;
    if (accumulate) list.reads(out, columns);
    return list.reads(rows.state, 1)
        .reads(x, int64_t{rows.capacity()} * columns)
        .writes(out, columns);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), columns}); }
  double flops() const { return static_cast<double>(rows.capacity()) * columns; }
};

/// distance[r] = sum over c of (x[r / samples, c] - y[r, c])^2, samples = rows.per_input.
struct SquaredDistance {
  static constexpr std::string_view name = "squared_distance";
  Rows rows;  // of y
  int32_t columns = 0;
  const float* x = nullptr;   // [inputs, columns]
  const float* y = nullptr;   // [rows, columns]
  float* distance = nullptr;  // [rows]

  AccessList accesses() const {
    const int64_t r = rows.capacity();
    return AccessList()
        .reads(rows.state, 1)
        .reads(x, int64_t{rows.inputs} * columns)
        .reads(y, r * columns)
        .writes(distance, r);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), columns}); }
  double flops() const { return 0.0; }
};

/// Elements per partial sum of SquaredNorm; also the grain of OptimizerUpdate.
inline constexpr int64_t kArenaChunk = 16384;
constexpr int64_t arena_chunks(int64_t count) { return (count + kArenaChunk - 1) / kArenaChunk; }

/// partial[k] = sum of squares of x[k * kArenaChunk ...]; their sum is the squared 2-norm.
struct SquaredNorm {
  static constexpr std::string_view name = "squared_norm";
  int64_t count = 0;
  const float* x = nullptr;  // [count]
  float* partial = nullptr;  // [arena_chunks(count)]

  AccessList accesses() const {
    return AccessList().reads(x, count).writes(partial, arena_chunks(count));
  }
  std::string sizes() const { return sizes_text({count}); }
  double flops() const { return 2.0 * static_cast<double>(count); }
};

}  // namespace elbo
