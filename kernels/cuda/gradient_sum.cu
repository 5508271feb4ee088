#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"
#include "kernels/cuda/row_groups.cuh"

namespace elbo::cuda {

/// A row per group of lanes.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    gradient_sum_kernel(RowGroupArgs<GradientSum> args) {
  wait_for_previous_kernel();
  const GradientSum& op = args.op;
  const GroupPlace place(args);
  if (place.row >= op.rows.capacity()) return;
  const bool active = place.row < op.rows.active();
  for (int32_t c = kQuad * place.lane; c < op.columns; c += kQuad * args.lanes) {
    math::Float4 sum = {};
    ELBO_UNROLL
    for (int t = 0; t < GradientSum::kMostTerms; ++t) {
      const GradientSum::Term& term = op.terms[t];
      const int32_t left = term.columns - c;
      if (!active || !term.data || left <= 0) continue;
      const math::Float4 quad = load_quad<kVector>(term.data, place.first(term.columns) + c, left);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i)
        if (i < left) sum.value[i] += quad.value[i];
    }
    store_quad<kVector>(op.out, place.first(op.columns) + c, op.columns - c, sum);
  }
}

void launch_op(const GradientSum& op, const Queue& queue) {
  bool vector_terms = true;
  for (const GradientSum::Term& term : op.terms)
    vector_terms =
        vector_terms && (!term.data || has_vector_access({term.data.data}, {term.columns}));
  const bool vector = vector_terms && has_vector_access({op.out.data}, {op.columns});
  launch_row_groups(vector ? gradient_sum_kernel<true> : gradient_sum_kernel<false>,
                    op.rows.capacity(), quads_in(op.columns), op, queue.stream);
}

}  // namespace elbo::cuda
