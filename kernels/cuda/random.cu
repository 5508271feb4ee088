#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"
#include "kernels/math/permutation.hpp"

namespace elbo::cuda {

/// Draws one Philox group; random bits are returned as the floats with these bits.
template <Distribution kDistribution>
ELBO_DEVICE math::Float4 draw(uint64_t seed, uint64_t subsequence, uint64_t group) {
  if constexpr (kDistribution == Distribution::normal)
    return math::normal4(seed, subsequence, group);
  const math::Bits4 bits = math::philox4x32(seed, subsequence, group);
  math::Float4 out;
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i)
    out.value[i] = kDistribution == Distribution::uniform ? math::uniform(bits.value[i])
                                                          : math::as_float(bits.value[i]);
  return out;
}

/// A group per thread.
template <Distribution kDistribution, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) random_fill_kernel(RandomFill op) {
  wait_for_previous_kernel();
  const int64_t group = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int64_t first = kQuad * group;
  if (first >= op.count) return;
  store_quad<kVector>(
      static_cast<float*>(op.out) + first, op.count - first,
      draw<kDistribution>(op.seed, op.subsequence, op.first_group + static_cast<uint64_t>(group)));
}

template <Distribution kDistribution>
void launch_random_fill(const RandomFill& op, const Queue& queue) {
  with_vector_access({op.out}, {}, [&](auto vector) {
    launch_items(random_fill_kernel<kDistribution, decltype(vector)::value>, op.count,
                 kQuad * kItemThreads, queue.stream, op);
  });
}

void launch_op(const RandomFill& op, const Queue& queue) {
  switch (op.distribution) {
    case Distribution::bits:
      return launch_random_fill<Distribution::bits>(op, queue);
    case Distribution::uniform:
      return launch_random_fill<Distribution::uniform>(op, queue);
    case Distribution::normal:
      return launch_random_fill<Distribution::normal>(op, queue);
  }
}

ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) permutation_fill_kernel(PermutationFill op) {
  wait_for_previous_kernel();
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= op.count) return;
  const math::Permutation permutation(op.domain, op.seed, op.epoch);
  op.out[i] = permutation(op.first + i);
}

void launch_op(const PermutationFill& op, const Queue& queue) {
  launch_items(permutation_fill_kernel, op.count, kItemThreads, queue.stream, op);
}

}  // namespace elbo::cuda
