#include "kernels/cuda/division.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

struct SwapAxesArgs {
  SwapAxes op;
  int64_t count;                  // elements of y
  Division columns, line, inner;  // by elements of a row, of [first, inner], of [inner]
};

/// A quad of y per thread.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) swap_axes_kernel(SwapAxesArgs args) {
  wait_for_previous_kernel();
  const SwapAxes& op = args.op;
  const int64_t first = kQuad * (int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  const int64_t left = args.count - first;
  if (left <= 0) return;
  math::Float4 quad = {};
  ELBO_UNROLL
  for (int e = 0; e < kQuad; ++e) {
    if (e >= left) break;
    const Divided row(static_cast<int32_t>(first + e), args.columns);
    const Divided j(row.remainder, args.line);
    const Divided i(j.remainder, args.inner);
    const int64_t place = int64_t{row.quotient} * args.columns.divisor +
                          (i.quotient * op.second + j.quotient) * op.inner + i.remainder;
    quad.value[e] = load_quad<false>(op.x, place, 1).value[0];
  }
  store_quad<kVector>(op.y, first, left, quad);
}

void launch_op(const SwapAxes& op, const Queue& queue) {
  const int64_t count = int64_t{op.rows.capacity()} * op.columns();
  if (count == 0) return;
  ELBO_ASSERT(count < INT32_MAX);
  const SwapAxesArgs args = {op, count, Division(op.columns()), Division(op.first * op.inner),
                             Division(op.inner)};
  with_vector_access({op.y.data}, {}, [&](auto vector) {
    launch_items(swap_axes_kernel<decltype(vector)::value>, count, int64_t{kQuad} * kItemThreads,
                 queue.stream, args);
  });
}

}  // namespace elbo::cuda
