#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"
#include "kernels/cuda/row_groups.cuh"

namespace elbo::cuda {

/// A row per group of lanes.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads) l1_terms_kernel(RowGroupArgs<L1Terms> args) {
  wait_for_previous_kernel();
  const L1Terms& op = args.op;
  const GroupPlace place(args);
  const bool exists = place.row < op.rows.capacity(), active = place.row < op.rows.active();
  const float scale = op.weight / static_cast<float>(op.rows.active());
  float norm = 0.0f;
  for (int32_t c = kQuad * place.lane; exists && c < op.columns; c += kQuad * args.lanes) {
    const int32_t left = op.columns - c;
    const int64_t first = place.first(op.columns) + c;
    const math::Float4 x = load_quad<kVector>(op.x, first, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) norm += math::abs(x.value[i]);
    if (!op.grad_x) continue;
    math::Float4 grad = {};
    if (active) {
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) grad.value[i] = math::sign(x.value[i]) * scale;
      if (op.saved) {
        const math::Float4 saved = load_quad<kVector>(op.saved, first, left);
        ELBO_UNROLL
        for (int i = 0; i < kQuad; ++i)
          grad.value[i] *= math::activation_derivative(op.activation, saved.value[i]);
      }
    }
    store_quad<kVector>(op.grad_x, first, left, grad);
  }
  norm = group_sum(norm, args.lanes);
  if (place.lane == 0 && active) op.norm[place.row] = norm;
}

void launch_op(const L1Terms& op, const Queue& queue) {
  with_vector_access({op.x.data, op.saved.data, op.grad_x.data}, {op.columns}, [&](auto vector) {
    launch_row_groups(l1_terms_kernel<decltype(vector)::value>, op.rows.capacity(),
                      quads_in(op.columns), op, queue.stream);
  });
}

}  // namespace elbo::cuda
