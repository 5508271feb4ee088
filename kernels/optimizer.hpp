// Contract: the optimizer over one parameter arena, and the end of a step.
#pragma once

#include <string_view>

#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/optimizer.hpp"
#include "kernels/math/schedule.hpp"
#include "kernels/reduce.hpp"

namespace elbo {

/// Keeps the division of clipping finite; PyTorch's clip_grad_norm_ uses the same value.
inline constexpr double kClipEpsilon = 1e-6;

/// Number of quantities that a step may report.
inline constexpr int kMostStepTerms = 12;

/// The report of a step.
struct StepRecord {
  uint64_t step = 0;  // steps completed, this one included
  uint64_t epoch = 0;
  float terms[kMostStepTerms] = {};  // means over the batch of StepEnd's terms
  float learning_rate = 0.0f;
  float beta = 0.0f;
  float gradient_norm = -1.0f;  // before clipping; -1 when not clipping
  int32_t rows = 0;
};

/// Everything in StepState as a function of the step.
struct StepPlan {
  uint32_t row_count = 0;  // rows in the training split
  int32_t batch_rows = 0;
  math::Schedule learning_rate;
  math::Schedule beta;
  math::Schedule capacity;
  double beta1 = 0.9;  // Adam's, for the bias corrections
  double beta2 = 0.999;

  ELBO_HD uint64_t steps_per_epoch() const {
    return (row_count + static_cast<uint32_t>(batch_rows) - 1) / static_cast<uint32_t>(batch_rows);
  }
  ELBO_HD StepState at(uint64_t step) const {
    StepState s;
    s.step = step;
    s.epoch = step / steps_per_epoch();
    s.first_row =
        static_cast<uint32_t>(step % steps_per_epoch()) * static_cast<uint32_t>(batch_rows);
    const uint32_t left = row_count - s.first_row;
    s.rows = left < static_cast<uint32_t>(batch_rows) ? static_cast<int32_t>(left) : batch_rows;
    s.learning_rate = learning_rate.at(step);
    s.beta = beta.at(step);
    s.capacity = capacity.at(step);
    s.correction1 = static_cast<float>(1.0 / (1.0 - power(beta1, step + 1)));
    s.correction2 = static_cast<float>(1.0 / math::sqrt(1.0 - power(beta2, step + 1)));
    return s;
  }

 private:
  // By squaring, which has the same bits on every device, unlike the library's pow.
  ELBO_HD static double power(double base, uint64_t exponent) {
    double result = 1.0;
    for (; exponent != 0; exponent >>= 1, base *= base)
      if ((exponent & 1) != 0) result *= base;
    return result;
  }
};

/// A reported quantity: `per_input` values for each input of the batch.
struct StepTerm {
  const float* values = nullptr;  // [inputs * per_input], or null
  int32_t per_input = 1;
};

/// Communication between the parts of the work that ends a step.
struct StepScratch {
  uint32_t parts_done = 0;  // 0 between runs
  StepState next;
};

/// The end of a step: writes its record to ring[step % ring_size] and advances the state. Without a
/// ring the update does not end the step: there is no record, and the state stays.
struct StepEnd {
  StepPlan plan;
  Rows inputs;
  StepTerm terms[kMostStepTerms] = {};
  StepRecord* ring = nullptr;  // [ring_size]
  int32_t ring_size = 0;
  StepScratch* scratch = nullptr;  // [1], zero before the first run
};

/// One update of contiguous parameters. `grad` is the gradient of a mean over the batch's inputs;
/// with `summed` the gradient of the sum is used, active rows times as large. With clip_norm > 0 it
/// is then scaled by min(1, clip_norm / (norm + kClipEpsilon)), from SquaredNorm's partials of
/// `grad`. With `only_reader`, no other op and no one else reads `grad`: a device may then fuse
/// this update with the op that computes the gradient, and never store `grad`. With an `end`, the
/// part of the work that finishes last ends the step; nothing may read the state after it.
struct OptimizerUpdate {
  static constexpr std::string_view name = "optimizer_update";
  math::Optimizer optimizer;
  math::OptimizerSettings settings;
  float rate = 1.0f;  // factor on the state's learning rate
  bool summed = false;
  StepState* state = nullptr;
  int64_t count = 0;
  float* weight = nullptr;         // [count]
  const float* grad = nullptr;     // [count]
  float* first_moment = nullptr;   // [count]
  float* second_moment = nullptr;  // [count], unused by rules with a single moment
  float clip_norm = 0.0f;
  bool only_reader = false;
  const float* squared_norm = nullptr;    // [arena_chunks(count)], when clipping
  math::Bfloat16* weight_bf16 = nullptr;  // [count], a copy of the weights, or null
  StepEnd end;

  AccessList accesses() const {
    AccessList list;
    int moments = 0;
    optimizer.visit([&](auto rule) { moments = decltype(rule)::moments; });
    for (float* slot : {weight, first_moment, moments > 1 ? second_moment : nullptr})
      list.reads(slot, count).writes(slot, count);
    list.reads(grad, count).reads(squared_norm, arena_chunks(count)).writes(weight_bf16, count);
    list.reads(state, 1);
    if (end.ring == nullptr) return list;
    const int64_t rows = end.inputs.capacity();
    for (const StepTerm& term : end.terms) list.reads(term.values, rows * term.per_input);
    return list.writes(state, 1).writes(end.scratch, 1).writes(end.ring, end.ring_size);
  }
  std::string sizes() const { return sizes_text({count}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo
