// Distribution of a block's threads over many rows of channels: one quad of channels per thread,
// and several rows of threads, each for some of the rows. Their sums are added in a fixed order.
#pragma once

#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

/// Position of a thread in a one-dimensional block. Surplus threads are idle.
struct ChannelThreads {
  int32_t across, deep;  // threads in a row, and rows of threads
  int32_t quad, place;   // the thread's index in its row, and the index of the row

  /// For `quads` quads of channels; a block processes at most one per thread at a time.
  ELBO_DEVICE explicit ChannelThreads(int32_t quads)
      : across(quads < static_cast<int32_t>(blockDim.x) ? quads : static_cast<int32_t>(blockDim.x)),
        deep(static_cast<int32_t>(blockDim.x) / across),
        quad(static_cast<int32_t>(threadIdx.x) % across),
        place(static_cast<int32_t>(threadIdx.x) / across) {}

  ELBO_DEVICE bool works() const { return place < deep; }

  /// Returns, in the first row, the sum of `value` over the rows of threads. All threads of the
  /// block must call. `shared` has room for one quad per thread.
  ELBO_DEVICE math::Float4 total(const math::Float4& value, math::Float4* shared) const {
    __syncthreads();  // readers of the previous sum have finished
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int32_t rows = deep; rows > 1; rows = (rows + 1) / 2) {
      const int32_t half = (rows + 1) / 2;
      if (place < rows - half) {
        const math::Float4 other = shared[threadIdx.x + static_cast<unsigned>(half * across)];
        ELBO_UNROLL
        for (int i = 0; i < kQuad; ++i) shared[threadIdx.x].value[i] += other.value[i];
      }
      __syncthreads();
    }
    return shared[threadIdx.x];
  }
};

}  // namespace elbo::cuda
