#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

/// From `grad` to the gradient that is asked for, before clipping.
ELBO_DEVICE double reduction_scale(const OptimizerUpdate& op) {
  return op.summed ? op.state->rows : 1.0;
}

/// All threads must call.
ELBO_DEVICE double gradient_norm(const OptimizerUpdate& op) {
  return reduction_scale(op) *
         math::sqrt(block_sum<double>(op.squared_norm, arena_chunks(op.count)));
}

/// What `grad` is multiplied by; all threads must call.
ELBO_DEVICE float gradient_scale(const OptimizerUpdate& op) {
  const double scale = reduction_scale(op);
  if (op.clip_norm <= 0.0f) return static_cast<float>(scale);
  const double clipped = math::min(1.0, op.clip_norm / (gradient_norm(op) + kClipEpsilon));
  return static_cast<float>(scale * clipped);
}

/// Several quads a thread, so that the norm is summed by few blocks.
inline constexpr int kUpdateQuads = 4;

/// The step's record and the state after it; one block, all threads must call.
ELBO_DEVICE void prepare_end(const OptimizerUpdate& op) {
  const StepEnd& end = op.end;
  const StepState state = *op.state;
  const int64_t rows = end.inputs.active();
  StepRecord& record = end.ring[state.step % static_cast<uint64_t>(end.ring_size)];
  for (int i = 0; i < kMostStepTerms; ++i) {
    const StepTerm& term = end.terms[i];
    const int64_t values = rows * term.per_input;
    const double sum = term.values == nullptr ? 0.0 : block_sum<double>(term.values, values);
    if (threadIdx.x == 0)
      record.terms[i] =
          term.values == nullptr ? 0.0f : static_cast<float>(sum / static_cast<double>(values));
  }
  const double norm = op.squared_norm == nullptr ? -1.0 : gradient_norm(op);
  if (threadIdx.x != 0) return;
  record.step = state.step + 1;
  record.epoch = state.epoch;
  record.learning_rate = state.learning_rate;
  record.beta = state.beta;
  record.gradient_norm = static_cast<float>(norm);
  record.rows = static_cast<int32_t>(rows);
  end.scratch->next = end.plan.at(state.step + 1);
}

/// Whichever block is done last moves the state on: then all others have read it.
ELBO_DEVICE void end_step(const OptimizerUpdate& op) {
  __syncthreads();
  StepScratch& scratch = *op.end.scratch;
  if (threadIdx.x != 0 || take_ticket(&scratch.parts_done) + 1 < gridDim.x) return;
  scratch.parts_done = 0;
  *op.state = scratch.next;
}

template <class Rule, bool kVector>
ELBO_DEVICE void update_quads(const OptimizerUpdate& op) {
  const float scale = gradient_scale(op);
  const math::OptimizerStep step = {op.rate * op.state->learning_rate, op.state->correction1,
                                    op.state->correction2};
  for (int q = 0; q < kUpdateQuads; ++q) {
    const int64_t i =
        kQuad * ((int64_t{blockIdx.x} * kUpdateQuads + q) * kItemThreads + threadIdx.x);
    if (i >= op.count) return;
    const int64_t left = op.count - i;
    const math::Float4 grad = load_quad<kVector>(op.grad + i, left);
    math::Float4 weight = load_quad<kVector>(op.weight + i, left);
    math::Float4 first = load_quad<kVector>(op.first_moment + i, left);
    math::Float4 second = {};
    if constexpr (Rule::moments > 1) second = load_quad<kVector>(op.second_moment + i, left);
    ELBO_UNROLL
    for (int k = 0; k < kQuad; ++k) {
      const math::OptimizerSlot slot =
          Rule::update({weight.value[k], first.value[k], second.value[k]}, scale * grad.value[k],
                       op.settings, step);
      weight.value[k] = slot.weight;
      first.value[k] = slot.first_moment;
      second.value[k] = slot.second_moment;
    }
    store_quad<kVector>(op.weight + i, left, weight);
    store_quad<kVector>(op.first_moment + i, left, first);
    if constexpr (Rule::moments > 1) store_quad<kVector>(op.second_moment + i, left, second);
    if (op.weight_bf16 != nullptr) store_quad<kVector>(op.weight_bf16 + i, left, weight);
  }
}

/// The first block also prepares the step's end, of which no update takes notice.
template <class Rule, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) optimizer_update_kernel(OptimizerUpdate op) {
  wait_for_previous_kernel();
  update_quads<Rule, kVector>(op);
  if (op.end.ring == nullptr) return;
  if (blockIdx.x == 0) prepare_end(op);
  end_step(op);
}

void launch_op(const OptimizerUpdate& op, const Queue& queue) {
  op.optimizer.visit([&](auto rule) {
    with_vector_access(
        {op.weight, op.grad, op.first_moment, op.second_moment, op.weight_bf16}, {},
        [&](auto vector) {
          launch_items(optimizer_update_kernel<decltype(rule), decltype(vector)::value>, op.count,
                       int64_t{kQuad} * kUpdateQuads * kItemThreads, queue.stream, op);
        });
  });
}

}  // namespace elbo::cuda
