#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/column_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

void launch_op(const ColumnSum& op, const Queue& queue) {
  launch_column_sum<double>(op, queue.stream);
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
