#include "kernels/optimizer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/weight_gradient.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

double total(const float* partial, int64_t count) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += partial[i];
  return sum;
}

/// Factor from `grad` to the requested gradient, before clipping.
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

/// True if the caller's task is the last of the op's tasks to arrive here.
bool last_task(const OptimizerUpdate& op, int tasks) {
  const std::atomic_ref<uint32_t> done(op.end.scratch->parts_done);
  if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < static_cast<uint32_t>(tasks)) return false;
  done.store(0, std::memory_order_relaxed);
  return true;
}

/// The update of contiguous parameters in the current step.
template <class Rule>
class Update {
 public:
  explicit Update(const OptimizerUpdate& op)
      : weight_(op.weight),
        first_(op.first_moment),
        second_(op.second_moment),
        scale_(gradient_scale(op)),
        settings_(op.settings),
        step_{op.rate * op.state->learning_rate, op.state->correction1, op.state->correction2} {}

  /// Updates the parameters from index `first` on with gradients `grad`.
  void operator()(int64_t first, const float* grad, int64_t count) const {
    const Update u = *this;  // a copy that no weight can alias
    float *weight = weight_ + first, *first_moment = first_ + first;
    float* second_moment = Rule::moments > 1 ? second_ + first : nullptr;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
      float second = 0.0f;
      if constexpr (Rule::moments > 1) second = second_moment[i];
      const math::OptimizerSlot slot = Rule::update({weight[i], first_moment[i], second},
                                                    u.scale_ * grad[i], u.settings_, u.step_);
      weight[i] = slot.weight;
      first_moment[i] = slot.first_moment;
      if constexpr (Rule::moments > 1) second_moment[i] = slot.second_moment;
    }
  }

 private:
  float *weight_, *first_, *second_;
  float scale_;
  math::OptimizerSettings settings_;
  math::OptimizerStep step_;
};

/// The update's own tasks: the parameters whose gradients are in memory.
std::vector<Range> parameters_left(const OptimizerUpdate& op,
                                   const std::vector<WeightGradient>& gradients) {
  std::vector<Range> taken;
  for (const WeightGradient& g : gradients)
    for (const auto& [begin, count] :
         {std::pair(g.op().grad_weight, int64_t{g.op().in} * g.op().out),
          std::pair(g.op().grad_bias, int64_t{g.op().out})})
      taken.push_back({begin - op.grad, begin - op.grad + count});
  taken.push_back({op.count, op.count});
  std::ranges::sort(taken, {}, &Range::begin);
  std::vector<Range> left;
  int64_t end = 0;
  for (const Range& range : taken) {
    for (int64_t first = end; first < range.begin; first += kArenaChunk)
      left.push_back({first, std::min(first + kArenaChunk, range.begin)});
    end = range.end;
  }
  return left;
}

}  // namespace

std::vector<Stage> stages(const OptimizerUpdate& op, const Resources& resources) {
  return stages(op, std::vector<DenseBackwardWeights>(), resources);
}

std::vector<Stage> stages(const OptimizerUpdate& op, const std::vector<DenseBackwardWeights>& taken,
                          const Resources& resources) {
  std::vector<WeightGradient> gradients;
  for (const DenseBackwardWeights& gradient : taken) gradients.emplace_back(gradient, resources);
  const std::vector<Range> left = parameters_left(op, gradients);
  auto tasks = static_cast<int>(left.size());
  for (const WeightGradient& gradient : gradients) tasks += gradient.tasks();
  return {{tasks, [=](int task) {
             op.optimizer.visit([&](auto rule) {
               const Update<decltype(rule)> update(op);
               int place = task;  // index among the tasks of the gradients, then among the rest
               for (const WeightGradient& gradient : gradients) {
                 if (place < gradient.tasks()) {
                   const int64_t weights = gradient.op().grad_weight - op.grad;
                   const int64_t biases = gradient.op().grad_bias - op.grad;
                   gradient.run(
                       place,
                       [&](int64_t first, const float* sums, int count) {
                         update(weights + first, sums, count);
                       },
                       [&](int64_t first, const float* sums, int count) {
                         update(biases + first, sums, count);
                       });
                   return;
                 }
                 place -= gradient.tasks();
               }
               const Range range = left[static_cast<size_t>(place)];
               update(range.begin, op.grad + range.begin, range.end - range.begin);
             });
             if (op.end.ring != nullptr && last_task(op, tasks)) end_step(op);
           }}};
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
