// Sums over a block in an order that depends only on its size.
#pragma once

#include "kernels/cuda/port.cuh"

namespace elbo::cuda {

/// Returns the sum of `value` over the warp, in every lane.
template <class T>
ELBO_DEVICE T warp_sum(T value) {
  ELBO_UNROLL
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kFullWarp, value, offset);
  return value;
}

/// Returns the sum of `value` over a one-dimensional block of whole warps, in every thread. All
/// threads must call.
template <class T>
ELBO_DEVICE T block_sum(T value) {
  ELBO_SHARED(T, partial, kWarpSize);
  const unsigned lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  value = warp_sum(value);
  __syncthreads();  // readers of the previous sum have finished
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  return warp_sum(lane < blockDim.x / kWarpSize ? partial[lane] : T(0));
}

/// Returns the sum of values[0 .. count-1], in every thread of the block. All threads must call.
template <class T>
ELBO_DEVICE T block_sum(const float* values, int64_t count) {
  T sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += values[i];
  return block_sum(sum);
}

}  // namespace elbo::cuda
