// Contract: the optimizer over one parameter arena, and the end of a step.
#pragma once

#include <string_view>

#include "kernels/core/rows.hpp"
#include "kernels/math/optimizer.hpp"
#include "kernels/math/schedule.hpp"
#include "kernels/reduce.hpp"

namespace elbo {

/// Keeps clipping's division finite; PyTorch's clip_grad_norm_ uses the same.
inline constexpr double kClipEpsilon = 1e-6;

/// One update of every parameter. With clip_norm > 0 the gradient is first scaled by
/// min(1, clip_norm / (norm + kClipEpsilon)), the norm from SquaredNorm's partials.
struct OptimizerUpdate {
  static constexpr std::string_view name = "optimizer_update";
  math::Optimizer optimizer;
  math::OptimizerSettings settings;
  const StepState* state = nullptr;
  int64_t count = 0;
  float* weight = nullptr;         // [count]
  const float* grad = nullptr;     // [count]
  float* first_moment = nullptr;   // [count]
  float* second_moment = nullptr;  // [count]
  float clip_norm = 0.0f;
  const float* squared_norm = nullptr;  // [arena_chunks(count)], when clipping

  double bytes() const { return 28.0 * static_cast<double>(count); }
  double flops() const { return 0.0; }
};

/// What a step reports: means over the batch, in nats per input.
struct StepRecord {
  uint64_t step = 0;  // steps completed, this one included
  uint64_t epoch = 0;
  float nll = 0.0f;  // mean over the samples too
  float kl = 0.0f;
  float learning_rate = 0.0f;
  float beta = 0.0f;
  float gradient_norm = -1.0f;  // before clipping; -1 when not clipping
  int32_t rows = 0;
};

/// The step counter's meaning: everything in StepState as a function of the step.
struct StepPlan {
  uint32_t row_count = 0;  // rows in the training split
  int32_t batch_rows = 0;
  math::Schedule learning_rate;
  math::Schedule beta;
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
    s.correction1 = static_cast<float>(1.0 / (1.0 - power(beta1, step + 1)));
    s.correction2 = static_cast<float>(1.0 / math::sqrt(1.0 - power(beta2, step + 1)));
    return s;
  }

 private:
  // By squaring: the same bits on every device, unlike the library's pow.
  ELBO_HD static double power(double base, uint64_t exponent) {
    double result = 1.0;
    for (; exponent != 0; exponent >>= 1, base *= base)
      if ((exponent & 1) != 0) result *= base;
    return result;
  }
};

/// Ends a step: writes its record to ring[step % ring_size] and moves `state` to the next step.
struct AdvanceStep {
  static constexpr std::string_view name = "advance_step";
  StepPlan plan;
  Rows inputs;
  int32_t samples = 1;
  const float* nll = nullptr;           // [inputs * samples]
  const float* kl = nullptr;            // [inputs]
  const float* squared_norm = nullptr;  // [norm_chunks], or null
  int64_t norm_chunks = 0;
  StepState* state = nullptr;  // [1]
  StepRecord* ring = nullptr;  // [ring_size]
  int32_t ring_size = 0;

  double bytes() const { return 4.0 * inputs.capacity() * (samples + 1); }
  double flops() const { return 0.0; }
};

}  // namespace elbo
