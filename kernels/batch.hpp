// Contract: one kernel from the data set to the network's input.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/dtype.hpp"
#include "kernels/core/rows.hpp"

namespace elbo {

/// What the model sees of a stored value v (v8 an 8-bit one, u uniform noise in [0, 1)).
enum class DataView : int32_t {
  raw,              // v, or v8 / 255
  dequantized,      // (v8 + u) / 256: a density over it bounds the discrete one (Theis et al. 2016)
  binarized,        // 1 if u < v (v8 / 255), else 0, drawn anew at every step
  binarized_fixed,  // the same, drawn once
};

/// x[i, :] = view(rows[order(i), :]) and row_ids[i] = order(i), for the batch's active rows.
///
/// order(i) = index[p], p the value at first_row + i of the epoch's permutation (shuffle) or
/// first_row + i itself. Rows past the active ones are set to zero. Noise is addressed by
/// (row of the data set, column, step). Bit-identical on every device.
struct GatherBatch {
  static constexpr std::string_view name = "gather_batch";
  const void* rows = nullptr;  // [*, columns], as stored
  DType dtype = DType::u8;
  const uint32_t* index = nullptr;  // [count] rows of the split; null: all rows
  uint32_t count = 0;               // rows in the split
  int32_t columns = 0;
  bool shuffle = false;
  DataView view = DataView::raw;
  uint64_t seed = 0;
  Rows batch;
  float* x = nullptr;                // [batch, columns]
  math::Bfloat16* x_bf16 = nullptr;  // the same in bfloat16, or null
  uint32_t* row_ids = nullptr;       // [batch]

  AccessList accesses() const {
    const int64_t b = batch.capacity(), elements = b * columns;
    return AccessList()
        .reads(batch.state, 1)
        .reads_raw(rows, elements, size_of(dtype))
        .reads(index, index == nullptr ? 0 : b)
        .writes(x, elements)
        .writes(x_bf16, elements)
        .writes(row_ids, b);
  }
  double flops() const { return 0.0; }
};

}  // namespace elbo
