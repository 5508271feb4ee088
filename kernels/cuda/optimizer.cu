#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

/// Factor from `grad` to the requested gradient, before clipping.
ELBO_DEVICE double reduction_scale(const OptimizerUpdate& op) {
  return op.summed ? op.state->rows : 1.0;
}

/// All threads must call.
ELBO_DEVICE double gradient_norm(const OptimizerUpdate& op) {
  return reduction_scale(op) *
         math::sqrt(block_sum<double>(op.squared_norm, arena_chunks(op.count)));
}

/// The factor on `grad`; all threads must call.
ELBO_DEVICE float gradient_scale(const OptimizerUpdate& op) {
  const double scale = reduction_scale(op);
  if (op.clip_norm <= 0.0f) return static_cast<float>(scale);
  const double clipped = math::min(1.0, op.clip_norm / (gradient_norm(op) + kClipEpsilon));
  return static_cast<float>(scale * clipped);
}

/// Several quads per thread, so that few blocks sum the norm.
inline constexpr int kUpdateQuads = 4;
inline constexpr int64_t kBlockElements = int64_t{kQuad} * kUpdateQuads * kItemThreads;

/// Writes the step's record; one block, all threads must call.
ELBO_DEVICE void record_step(const OptimizerUpdate& op) {
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
}

/// Writes the state after the step; one block.
ELBO_DEVICE void plan_next_step(const OptimizerUpdate& op) {
  if (threadIdx.x == 0) op.end.scratch->next = op.end.plan.at(op.state->step + 1);
}

/// The last block to finish advances the state, after all others have read it.
ELBO_DEVICE void end_step(const OptimizerUpdate& op) {
  __syncthreads();
  StepScratch& scratch = *op.end.scratch;
  if (threadIdx.x != 0 || take_ticket(&scratch.parts_done) + 1 < gridDim.x) return;
  scratch.parts_done = 0;
  *op.state = scratch.next;
}

struct SlotQuads {
  math::Float4 grad, weight, first, second;
};

/// Updates the quads of block `block`. All loads come first, so that their latencies overlap.
template <class Rule, bool kVector>
ELBO_DEVICE void update_quads(const OptimizerUpdate& op, unsigned block) {
  const auto first_element = [&](int q) {
    return kQuad * ((int64_t{block} * kUpdateQuads + q) * kItemThreads + threadIdx.x);
  };
  SlotQuads slots[kUpdateQuads];
  ELBO_UNROLL
  for (int q = 0; q < kUpdateQuads; ++q) {
    const int64_t i = first_element(q), left = op.count - i;
    if (left <= 0) break;
    slots[q].grad = load_quad<kVector>(op.grad + i, left);
    slots[q].weight = load_quad<kVector>(op.weight + i, left);
    slots[q].first = load_quad<kVector>(op.first_moment + i, left);
    if constexpr (Rule::moments > 1)
      slots[q].second = load_quad<kVector>(op.second_moment + i, left);
    else
      slots[q].second = {};
  }
  const float scale = gradient_scale(op);
  const math::OptimizerStep step = {op.rate * op.state->learning_rate, op.state->correction1,
                                    op.state->correction2};
  ELBO_UNROLL
  for (int q = 0; q < kUpdateQuads; ++q) {
    const int64_t i = first_element(q), left = op.count - i;
    if (left <= 0) return;
    SlotQuads& s = slots[q];
    ELBO_UNROLL
    for (int k = 0; k < kQuad; ++k) {
      const math::OptimizerSlot slot =
          Rule::update({s.weight.value[k], s.first.value[k], s.second.value[k]},
                       scale * s.grad.value[k], op.settings, step);
      s.weight.value[k] = slot.weight;
      s.first.value[k] = slot.first_moment;
      s.second.value[k] = slot.second_moment;
    }
    store_quad<kVector>(op.weight + i, left, s.weight);
    store_quad<kVector>(op.first_moment + i, left, s.first);
    if constexpr (Rule::moments > 1) store_quad<kVector>(op.second_moment + i, left, s.second);
    if (op.weight_bf16 != nullptr) store_quad<kVector>(op.weight_bf16 + i, left, s.weight);
  }
}

/// If op.end is set, the first kEndBlocks blocks prepare the end of the step. This takes longer
/// than the updates of one block, so it runs in parallel with them.
inline constexpr unsigned kEndBlocks = 2;

ELBO_HD unsigned end_blocks(const OptimizerUpdate& op) {
  return op.end.ring == nullptr ? 0 : kEndBlocks;
}

template <class Rule, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kItemThreads) optimizer_update_kernel(OptimizerUpdate op) {
  wait_for_previous_kernel();
  if (blockIdx.x >= end_blocks(op))
    update_quads<Rule, kVector>(op, blockIdx.x - end_blocks(op));
  else if (blockIdx.x == 0)
    plan_next_step(op);
  else
    record_step(op);
  if (op.end.ring != nullptr) end_step(op);
}

void launch_op(const OptimizerUpdate& op, const Queue& queue) {
  op.optimizer.visit([&](auto rule) {
    with_vector_access({op.weight, op.grad, op.first_moment, op.second_moment, op.weight_bf16}, {},
                       [&](auto vector) {
                         launch_items(
                             optimizer_update_kernel<decltype(rule), decltype(vector)::value>,
                             op.count + end_blocks(op) * kBlockElements, kBlockElements,
                             queue.stream, op);
                       });
  });
}

}  // namespace elbo::cuda
