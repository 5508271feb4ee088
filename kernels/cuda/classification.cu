#include <limits>

#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"
#include "kernels/cuda/row_groups.cuh"

namespace elbo::cuda {

inline constexpr float kNoLogit = -std::numeric_limits<float>::infinity();

/// The largest logit of a row and the first class that has it.
struct BestClass {
  float logit = kNoLogit;
  int32_t index = std::numeric_limits<int32_t>::max();

  ELBO_DEVICE void look_at(float other, int32_t other_index) {
    if (other > logit || (other == logit && other_index < index)) {
      logit = other;
      index = other_index;
    }
  }
};

/// Reduces over a group of lanes, in each of them; the whole warp must call.
ELBO_DEVICE BestClass group_best(BestClass best, int32_t lanes) {
  for (int32_t offset = lanes / 2; offset > 0; offset /= 2) {
    const float logit = __shfl_xor_sync(kFullWarp, best.logit, offset);
    const int32_t index = __shfl_xor_sync(kFullWarp, best.index, offset);
    best.look_at(logit, index);
  }
  return best;
}

/// A row per group of lanes, a class per lane at a time.
template <class Loss>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    categorical_terms_kernel(RowGroupArgs<CategoricalTerms> args) {
  wait_for_previous_kernel();
  const CategoricalTerms& op = args.op;
  const GroupPlace place(args);
  const bool exists = place.row < op.rows.capacity(), active = place.row < op.rows.active();
  const float* logits = op.logits + place.first(op.classes);
  // Lanes of inactive rows only take part in the shuffles.
  const int32_t classes = active ? op.classes : 0;
  const int32_t label = active ? op.labels[op.row_ids[place.row / op.rows.per_input]] : -1;

  BestClass best;
  for (int32_t c = place.lane; c < classes; c += args.lanes) best.look_at(logits[c], c);
  best = group_best(best, args.lanes);
  float sum = 0.0f;
  for (int32_t c = place.lane; c < classes; c += args.lanes)
    sum += math::exp(logits[c] - best.logit);
  sum = group_sum(sum, args.lanes);
  const float log_sum = math::log_exp_sum(sum);

  const auto term = [&](int32_t c, float shift) {
    return math::class_term(logits[c] - best.logit - log_sum, c == label, shift);
  };
  float loss = 0.0f, shift = 0.0f;
  for (int32_t c = place.lane; c < classes; c += args.lanes) {
    const math::ClassTerm<float> t = term(c, 0.0f);
    loss += Loss::loss(t);
    shift = math::fma(t.p, t.p - t.target, shift);
  }
  loss = group_sum(loss, args.lanes);
  shift = group_sum(shift, args.lanes);
  if (place.lane == 0 && active) {
    op.loss[place.row] = loss;
    op.correct[place.row] = best.index == label && sum >= 1.0f ? 1.0f : 0.0f;
  }
  if (!op.gradients || !exists) return;
  const float scale = op.weight / static_cast<float>(op.rows.active());
  const Reals grad = op.grad_logits == nullptr ? Reals(op.logits) : Reals(op.grad_logits);
  for (int32_t c = place.lane; c < op.classes; c += args.lanes)
    store_quad<false>(grad, place.first(op.classes) + c, 1,
                      {{active ? scale * Loss::gradient(term(c, shift)) : 0.0f}});
}

void launch_op(const CategoricalTerms& op, const Queue& queue) {
  op.loss_kind.visit([&](auto loss) {
    launch_row_groups(categorical_terms_kernel<decltype(loss)>, op.rows.capacity(), op.classes, op,
                      queue.stream);
  });
}

}  // namespace elbo::cuda
