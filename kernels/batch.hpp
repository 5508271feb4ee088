// Contract: one kernel from the data set to the network's input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/dtype.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/corruption.hpp"
#include "kernels/math/permutation.hpp"
#include "kernels/math/picture.hpp"
#include "kernels/math/window.hpp"

namespace elbo {

/// The value that the model reads for a stored value v (v8: an 8-bit value; u: uniform noise in [0,
/// 1)).
enum class DataView : int32_t {
  raw,              // v, or v8 / 255
  dequantized,      // (v8 + u) / 256: a density over it bounds the discrete one (Theis et al. 2016)
  binarized,        // 1 if u < v (v8 / 255), else 0, drawn anew at every step
  binarized_fixed,  // the same, drawn once
};

/// x[i, :] = view(rows[place(i), :]) and row_ids[i] = the data set's row at that position, for the
/// batch's active rows; BatchOrder defines it.
///
/// Without a window every row of the data set is in `rows`. With one, the positions of an epoch's
/// order are divided into windows of that size (the last of an epoch may be smaller), and a batch
/// lies within one window. Window n, counted from the start of training, is in slot n % 2 of `rows`
/// and `index`; the host fills one slot while the other is read.
///
/// With an augmentation, rows are pictures, and each is flipped and shifted before the view is
/// applied, by one draw per row of the data set and step.
///
/// `input` is the input of the network if that is not x itself: x corrupted, x in bfloat16, or
/// both. Its noise is addressed as that of the view is.
///
/// Rows past the active ones are set to zero. Noise is addressed by (row of the data set, column,
/// step). Bit-identical on every device.
struct GatherBatch {
  static constexpr std::string_view name = "gather_batch";
  const void* rows = nullptr;  // [*, columns], as stored; with a window [2 * window, columns]
  DType dtype = DType::u8;
  const uint32_t* index = nullptr;  // [count] rows of the split, null: all rows. With a window
                                    // [2 * window]: the data set's row at each position
  uint32_t stored = 0;              // rows in `rows` if `index` selects among them; else 0
  uint32_t count = 0;               // rows in the split
  uint32_t window = 0;              // rows of a window, at most 2^30; 0: all rows are stored
  int32_t columns = 0;
  bool shuffle = false;
  DataView view = DataView::raw;
  uint64_t seed = 0;
  math::PictureLayout picture = {};  // of a row, for the augmentation
  math::Augmentation augmentation = {};
  math::Corruption corruption = {};
  float corruption_level = 0.0f;  // see math/corruption.hpp
  Rows batch;
  float* x = nullptr;           // [batch, columns]
  Reals input = {};             // [batch, columns], or null
  uint32_t* row_ids = nullptr;  // [batch]

  AccessList accesses() const {
    const int64_t b = batch.capacity(), elements = b * columns;
    const int64_t places = window == 0 ? std::max(stored, count) : 2 * int64_t{window};
    return AccessList()
        .reads(batch.state, 1)
        .gathers_raw(rows, places * columns, elements, size_of(dtype))
        .gathers(index, window == 0 ? int64_t{count} : places, b)
        .writes(x, elements)
        .writes(input, elements)
        .writes(row_ids, b);
  }
  std::string sizes() const { return sizes_text({batch.capacity(), columns}); }
  double flops() const { return 0.0; }
};

/// The position of a batch's row in GatherBatch::rows, and its row in the data set.
struct BatchRow {
  uint32_t place = 0;
  uint32_t id = 0;
};

/// The order of the next batch: within window n a permutation by (seed, n) or, without shuffling,
/// the stored order. If one window covers the split, this is the epoch's order.
class BatchOrder {
 public:
  ELBO_HD BatchOrder(const GatherBatch& op, const StepState& state)
      : BatchOrder(op, state,
                   math::Windows{op.count, op.window == 0 ? op.count : op.window}.at(
                       state.epoch, state.first_row)) {}

  /// Row i of the batch, which must be active.
  ELBO_HD BatchRow operator()(uint32_t i) const {
    const uint32_t position = first_ + i;
    const uint32_t place = slot_ + (shuffle_ ? permutation_(position) : position);
    const uint32_t id = index_ == nullptr ? place : index_[place];
    return {windowed_ ? place : id, id};
  }

 private:
  ELBO_HD BatchOrder(const GatherBatch& op, const StepState& state, const math::Window& window)
      : permutation_(window.rows, op.seed, window.number),
        index_(op.index),
        first_(state.first_row - window.first),
        slot_(static_cast<uint32_t>(window.number % 2) * op.window),
        windowed_(op.window != 0),
        shuffle_(op.shuffle) {}

  math::Permutation permutation_;
  const uint32_t* index_;
  uint32_t first_, slot_;  // of the batch in its window, of the window in the slots
  bool windowed_, shuffle_;
};

}  // namespace elbo
