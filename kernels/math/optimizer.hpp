// The optimizers' update rules, one struct each, and the list they are chosen from. PyTorch's
// definitions, so that the same settings mean the same training.
#pragma once

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

struct OptimizerSettings {
  float momentum = 0.9f;  // sgd
  float beta1 = 0.9f;     // adam, adamw
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;  // sgd, adam: added to the gradient; adamw: decoupled
};

/// What changes from step to step: t is the step's number from 1.
struct OptimizerStep {
  float learning_rate;
  float correction1;  // 1 / (1 - beta1^t)
  float correction2;  // 1 / sqrt(1 - beta2^t)
};

/// One parameter and its two moments (first_moment is sgd's momentum buffer).
struct OptimizerSlot {
  float weight;
  float first_moment;
  float second_moment;
};

struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr int moments = 1;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    grad = fma(o.weight_decay, s.weight, grad);
    s.first_moment = fma(o.momentum, s.first_moment, grad);
    s.weight = fma(-step.learning_rate, s.first_moment, s.weight);
    return s;
  }
};

/// Kingma and Ba 2015, algorithm 1.
struct Adam {
  static constexpr std::string_view name = "adam";
  static constexpr int moments = 2;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    return moments_update(s, fma(o.weight_decay, s.weight, grad), o, step);
  }
  ELBO_HD static OptimizerSlot moments_update(OptimizerSlot s, float grad,
                                              const OptimizerSettings& o,
                                              const OptimizerStep& step) {
    s.first_moment = fma(o.beta1, s.first_moment, (1.0f - o.beta1) * grad);
    s.second_moment = fma(o.beta2, s.second_moment, ((1.0f - o.beta2) * grad) * grad);
    const float denominator = fma(sqrt(s.second_moment), step.correction2, o.epsilon);
    s.weight -= (step.learning_rate * step.correction1) * s.first_moment / denominator;
    return s;
  }
};

/// Loshchilov and Hutter 2019: weight decay apart from the gradient.
struct AdamW {
  static constexpr std::string_view name = "adamw";
  static constexpr int moments = 2;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    s.weight = fma(-(step.learning_rate * o.weight_decay), s.weight, s.weight);
    return Adam::moments_update(s, grad, o, step);
  }
};

using Optimizers = List<Sgd, Adam, AdamW>;
using Optimizer = Choice<Optimizers>;

}  // namespace elbo::math
