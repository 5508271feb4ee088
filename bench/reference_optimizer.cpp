#include <algorithm>
#include <cstddef>

#include "bench/reference_ops.hpp"

namespace elbo::reference {
namespace {

struct Slot {
  double weight, first_moment, second_moment;
};

/// Values of the step's state; the learning rate is multiplied by the op's own factor `rate`.
struct Step {
  double learning_rate, correction1, correction2;
};

void update(math::Sgd, Slot& s, double grad, const math::OptimizerSettings& o, const Step& t) {
  s.first_moment = o.momentum * s.first_moment + grad + o.weight_decay * s.weight;
  s.weight -= t.learning_rate * s.first_moment;
}
void update(math::Adagrad, Slot& s, double grad, const math::OptimizerSettings& o, const Step& t) {
  grad += o.weight_decay * s.weight;
  s.first_moment += grad * grad;
  s.weight -= t.learning_rate * grad / (std::sqrt(s.first_moment) + o.epsilon);
}
void update(math::Adam, Slot& s, double grad, const math::OptimizerSettings& o, const Step& t) {
  grad += o.weight_decay * s.weight;
  s.first_moment = o.beta1 * s.first_moment + (1.0 - o.beta1) * grad;
  s.second_moment = o.beta2 * s.second_moment + (1.0 - o.beta2) * grad * grad;
  s.weight -= t.learning_rate * t.correction1 * s.first_moment /
              (std::sqrt(s.second_moment) * t.correction2 + o.epsilon);
}
void update(math::AdamW, Slot& s, double grad, const math::OptimizerSettings& o, const Step& t) {
  s.weight *= 1.0 - t.learning_rate * o.weight_decay;
  math::OptimizerSettings without_decay = o;
  without_decay.weight_decay = 0.0f;
  update(math::Adam{}, s, grad, without_decay, t);
}

void update(math::AdamEpsilonHat, Slot& s, double grad, const math::OptimizerSettings& o,
            const Step& t) {
  grad += o.weight_decay * s.weight;
  s.first_moment = o.beta1 * s.first_moment + (1.0 - o.beta1) * grad;
  s.second_moment = o.beta2 * s.second_moment + (1.0 - o.beta2) * grad * grad;
  s.weight -= t.learning_rate * t.correction1 / t.correction2 * s.first_moment /
              (std::sqrt(s.second_moment) + o.epsilon);
}

double sum(const float* values, int64_t count) {
  double total = 0.0;
  for (int64_t i = 0; i < count; ++i) total += values[i];
  return total;
}

StepRecord& record_of(const OptimizerUpdate& op, uint64_t step) {
  return op.end.ring[step % static_cast<uint64_t>(op.end.ring_size)];
}

/// Returns the factor from `grad`, a mean over the batch, to the requested gradient, which is not
/// clipped yet.
double reduction(const OptimizerUpdate& op) { return op.summed ? op.state->rows : 1.0; }

double gradient_norm(const OptimizerUpdate& op) {
  return reduction(op) * std::sqrt(sum(op.squared_norm, arena_chunks(op.count)));
}

void end_step(const OptimizerUpdate& op) {
  const StepEnd& end = op.end;
  const int64_t rows = end.inputs.active();
  StepRecord& record = record_of(op, op.state->step);
  record = {.step = op.state->step + 1, .epoch = op.state->epoch};
  for (int i = 0; i < kMostStepTerms; ++i) {
    const StepTerm& term = end.terms[i];
    const int64_t values = rows * term.per_input;
    if (term.values != nullptr)
      record.terms[i] = as_float(sum(term.values, values) / static_cast<double>(values));
  }
  record.learning_rate = op.state->learning_rate;
  record.beta = op.state->beta;
  if (op.squared_norm != nullptr) record.gradient_norm = as_float(gradient_norm(op));
  record.rows = static_cast<int32_t>(rows);
  *op.state = end.plan.at(op.state->step + 1);
}

}  // namespace

void run_op(const OptimizerUpdate& op) {
  double scale = reduction(op);
  if (op.clip_norm > 0.0f)
    scale *= std::min(1.0, op.clip_norm / (gradient_norm(op) + kClipEpsilon));
  const Step step = {static_cast<double>(op.rate) * op.state->learning_rate, op.state->correction1,
                     op.state->correction2};
  op.optimizer.visit([&](auto optimizer) {
    const bool has_second = decltype(optimizer)::moments > 1;
#pragma omp parallel for
    for (int64_t i = 0; i < op.count; ++i) {
      Slot s = {op.weight[i], op.first_moment[i], has_second ? op.second_moment[i] : 0.0};
      update(optimizer, s, scale * op.grad[i], op.settings, step);
      op.weight[i] = as_float(s.weight);
      op.first_moment[i] = as_float(s.first_moment);
      if (has_second) op.second_moment[i] = as_float(s.second_moment);
      if (op.weight_bf16 != nullptr) op.weight_bf16[i] = math::to_bfloat16(as_float(s.weight));
    }
  });
  if (op.end.ring != nullptr) end_step(op);
}

std::vector<Output> outputs_of(const OptimizerUpdate& op) {
  std::vector<Output> outputs = {{"weight", op.weight, op.count, kElementwise},
                                 {"first_moment", op.first_moment, op.count, kElementwise}};
  op.optimizer.visit([&](auto optimizer) {
    if (decltype(optimizer)::moments > 1)
      outputs.push_back({"second_moment", op.second_moment, op.count, kElementwise});
  });
  if (op.weight_bf16 != nullptr)
    outputs.push_back(output("weight_bf16", op.weight_bf16, op.count, kElementwise));
  if (op.end.ring == nullptr) return outputs;
  StepRecord& record = record_of(op, op.state->step);
  for (const Output& part : {Output{"state", op.state, offsetof(StepState, correction2) / 4 + 1},
                             {"record.terms", record.terms, kMostStepTerms, 2.0},
                             {"record.step", &record.step, 4},
                             {"record.learning_rate", &record.learning_rate, 2},
                             {"record.gradient_norm", &record.gradient_norm, 1, 2.0},
                             {"record.rows", &record.rows, 1}})
    outputs.push_back(part);
  return outputs;
}

}  // namespace elbo::reference
