#include "kernels/optimizer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const OptimizerUpdate& op) { return {op.count, kArenaChunk}; }

double total(const float* partial, int64_t count) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += partial[i];
  return sum;
}

/// From `grad` to the gradient that is asked for, before clipping.
double reduction_scale(const OptimizerUpdate& op) { return op.summed ? op.state->rows : 1.0; }

double gradient_norm(const OptimizerUpdate& op) {
  return reduction_scale(op) * std::sqrt(total(op.squared_norm, arena_chunks(op.count)));
}

float gradient_scale(const OptimizerUpdate& op) {
  const double scale = reduction_scale(op);
  if (op.clip_norm <= 0.0f) return static_cast<float>(scale);
  const double clipped = std::min(1.0, op.clip_norm / (gradient_norm(op) + kClipEpsilon));
  return static_cast<float>(scale * clipped);
}

void end_step(const OptimizerUpdate& op) {
  const StepEnd& end = op.end;
  const StepState& state = *op.state;
  const int64_t rows = end.inputs.active();
  StepRecord record;
  record.step = state.step + 1;
  record.epoch = state.epoch;
  for (int i = 0; i < kMostStepTerms; ++i) {
    const StepTerm& term = end.terms[i];
    if (term.values == nullptr) continue;
    const int64_t values = rows * term.per_input;
    record.terms[i] = static_cast<float>(total(term.values, values) / static_cast<double>(values));
  }
  record.learning_rate = state.learning_rate;
  record.beta = state.beta;
  if (op.squared_norm != nullptr) record.gradient_norm = static_cast<float>(gradient_norm(op));
  record.rows = static_cast<int32_t>(rows);
  end.ring[state.step % static_cast<uint64_t>(end.ring_size)] = record;
  *op.state = end.plan.at(state.step + 1);
}

/// Whether the caller's task is the last of the op to come here.
bool last_task(const OptimizerUpdate& op) {
  const std::atomic_ref<uint32_t> done(op.end.scratch->parts_done);
  if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < static_cast<uint32_t>(tasks(op)))
    return false;
  done.store(0, std::memory_order_relaxed);
  return true;
}

}  // namespace

int tasks(const OptimizerUpdate& op) { return partition(op).tasks(); }

void run(const OptimizerUpdate& op, int task) {
  const Range range = partition(op).range(task);
  const float scale = gradient_scale(op);
  const math::OptimizerSettings settings = op.settings;
  const math::OptimizerStep step = {op.rate * op.state->learning_rate, op.state->correction1,
                                    op.state->correction2};
  op.optimizer.visit([&](auto optimizer) {
    using Rule = decltype(optimizer);
    float *weight = op.weight, *first = op.first_moment, *second = op.second_moment;
    const float* grad = op.grad;
#pragma omp simd
    for (int64_t i = range.begin; i < range.end; ++i) {
      const math::OptimizerSlot slot =
          Rule::update({weight[i], first[i], second[i]}, scale * grad[i], settings, step);
      weight[i] = slot.weight;
      first[i] = slot.first_moment;
      if constexpr (Rule::moments > 1) second[i] = slot.second_moment;
    }
  });
  if (op.end.ring != nullptr && last_task(op)) end_step(op);
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
