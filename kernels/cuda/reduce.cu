#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/column_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"
#include "kernels/cuda/row_groups.cuh"

namespace elbo::cuda {

void launch_op(const ColumnSum& op, const Queue& queue) {
  launch_column_sum<double>(op, queue.stream);
}

/// A row per group of lanes.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    squared_distance_kernel(RowGroupArgs<SquaredDistance> args) {
  wait_for_previous_kernel();
  const SquaredDistance& op = args.op;
  const GroupPlace place(args);
  const bool active = place.row < op.rows.active();
  const float* x = op.x + int64_t{place.row / op.rows.per_input} * op.columns;
  const float* y = op.y + place.first(op.columns);
  float sum = 0.0f;
  for (int32_t c = kQuad * place.lane; active && c < op.columns; c += kQuad * args.lanes) {
    const int32_t left = op.columns - c;
    const math::Float4 a = load_quad<kVector>(x + c, left), b = load_quad<kVector>(y + c, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) sum += (a.value[i] - b.value[i]) * (a.value[i] - b.value[i]);
  }
  sum = group_sum(sum, args.lanes);
  if (place.lane == 0 && active) op.distance[place.row] = sum;
}

void launch_op(const SquaredDistance& op, const Queue& queue) {
  with_vector_access({op.x, op.y}, {op.columns}, [&](auto vector) {
    launch_row_groups(squared_distance_kernel<decltype(vector)::value>, op.rows.capacity(),
                      quads_in(op.columns), op, queue.stream);
  });
}

/// A chunk of the arena per block.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) squared_norm_kernel(SquaredNorm op) {
  wait_for_previous_kernel();
  const int64_t begin = int64_t{blockIdx.x} * kArenaChunk;
  const int64_t end = begin + kArenaChunk < op.count ? begin + kArenaChunk : op.count;
  float sum = 0.0f;
  for (int64_t i = begin + kQuad * threadIdx.x; i < end; i += kQuad * blockDim.x) {
    const math::Float4 x = load_quad<kVector>(op.x + i, end - i);
    ELBO_UNROLL
    for (int k = 0; k < kQuad; ++k) sum += x.value[k] * x.value[k];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) op.partial[blockIdx.x] = sum;
}

void launch_op(const SquaredNorm& op, const Queue& queue) {
  with_vector_access({op.x}, {}, [&](auto vector) {
    launch_items(squared_norm_kernel<decltype(vector)::value>, op.count, kArenaChunk, queue.stream,
                 op);
  });
}

}  // namespace elbo::cuda
