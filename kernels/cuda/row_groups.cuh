// One group of neighbouring lanes per row: one lane per item of work, rounded up to a power of two,
// at most a warp. Short rows thus share a warp and leave few lanes idle.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/cuda/port.cuh"

namespace elbo::cuda {

/// An op, and the number of lanes per row.
template <class Op>
struct RowGroupArgs {
  Op op;
  int32_t lanes;  // 2^log2_lanes, at most a warp
  int32_t log2_lanes;
};

inline constexpr unsigned kGroupThreads = 128;

/// The row of this thread's group of lanes, and the thread's index in the group.
struct GroupPlace {
  int32_t row;
  int32_t lane;

  template <class Op>
  ELBO_DEVICE explicit GroupPlace(const RowGroupArgs<Op>& args)
      : row(static_cast<int32_t>(blockIdx.x * (kGroupThreads >> args.log2_lanes) +
                                 (threadIdx.x >> args.log2_lanes))),
        lane(static_cast<int32_t>(threadIdx.x) & (args.lanes - 1)) {}
  /// The row's first element in an array with rows of `columns` elements.
  ELBO_DEVICE int64_t first(int32_t columns) const { return int64_t{row} * columns; }
};

/// Returns the sum over a group of lanes, in each of them; the whole warp must call.
ELBO_DEVICE float group_sum(float value, int32_t lanes) {
  for (int32_t offset = lanes / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kFullWarp, value, offset);
  return value;
}

/// Runs `kernel` with a group of lanes for each row, which has `items` items of work. There may be
/// groups beyond the last row.
template <class Op>
void launch_row_groups(void (*kernel)(RowGroupArgs<Op>), int64_t rows, int64_t items, const Op& op,
                       Stream stream) {
  const auto lanes = std::bit_ceil(
      static_cast<unsigned>(std::clamp<int64_t>(items, 1, static_cast<int64_t>(kWarpSize))));
  const int64_t threads = rows * lanes;
  if (threads == 0) return;
  ELBO_ASSERT(rows <= INT32_MAX - kGroupThreads);
  launch(kernel, static_cast<unsigned>((threads + kGroupThreads - 1) / kGroupThreads),
         kGroupThreads, 0, stream, {op, static_cast<int32_t>(lanes), std::countr_zero(lanes)});
}

}  // namespace elbo::cuda
