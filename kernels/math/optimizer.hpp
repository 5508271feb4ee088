// The optimizers' update rules, one struct each, and the list they are chosen from. They follow
// PyTorch's definitions if PyTorch has the rule, so that the same settings mean the same training.
#pragma once

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

struct OptimizerSettings {
  float momentum = 0.9f;  // sgd
  float beta1 = 0.9f;     // the Adams
  float beta2 = 0.999f;
  float epsilon = 1e-8f;      // the Adams, adagrad
  float weight_decay = 0.0f;  // added to the gradient; adamw: decoupled
};

/// Values that change from step to step; t is the number of the step, from 1.
struct OptimizerStep {
  float learning_rate;
  float correction1;  // 1 / (1 - beta1^t)
  float correction2;  // 1 / sqrt(1 - beta2^t)
};

/// One parameter and its two moments (first_moment is sgd's momentum buffer, adagrad's sum).
struct OptimizerSlot {
  float weight;
  float first_moment;
  float second_moment;
};

struct Sgd {
  static constexpr std::string_view name = "sgd";
  static constexpr std::string_view summary = "gradient descent with momentum";
  static constexpr int moments = 1;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    grad = fma(o.weight_decay, s.weight, grad);
    s.first_moment = fma(o.momentum, s.first_moment, grad);
    s.weight = fma(-step.learning_rate, s.first_moment, s.weight);
    return s;
  }
};

/// Duchi, Hazan and Singer 2011.
struct Adagrad {
  static constexpr std::string_view name = "adagrad";
  static constexpr std::string_view summary =
      "steps divided by the root of all squared gradients so far (Duchi et al. 2011)";
  static constexpr int moments = 1;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    grad = fma(o.weight_decay, s.weight, grad);
    s.first_moment = fma(grad, grad, s.first_moment);
    s.weight -= step.learning_rate * grad / (sqrt(s.first_moment) + o.epsilon);
    return s;
  }
};

/// Kingma and Ba 2015, algorithm 1.
struct Adam {
  static constexpr std::string_view name = "adam";
  static constexpr std::string_view summary = "Kingma and Ba 2015, algorithm 1";
  static constexpr int moments = 2;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    return moments_update(s, fma(o.weight_decay, s.weight, grad), o, step);
  }
  ELBO_HD static OptimizerSlot moments_update(OptimizerSlot s, float grad,
                                              const OptimizerSettings& o,
                                              const OptimizerStep& step) {
    s = average(s, grad, o);
    const float denominator = fma(sqrt(s.second_moment), step.correction2, o.epsilon);
    s.weight -= (step.learning_rate * step.correction1) * s.first_moment / denominator;
    return s;
  }
  /// The moments with another gradient.
  ELBO_HD static OptimizerSlot average(OptimizerSlot s, float grad, const OptimizerSettings& o) {
    s.first_moment = fma(o.beta1, s.first_moment, (1.0f - o.beta1) * grad);
    s.second_moment = fma(o.beta2, s.second_moment, ((1.0f - o.beta2) * grad) * grad);
    return s;
  }
};

/// Kingma and Ba 2015, the end of section 2: the bias corrections are folded into the learning
/// rate, which leaves epsilon uncorrected. The authors of IWAE used this form.
struct AdamEpsilonHat {
  static constexpr std::string_view name = "adam-epsilon-hat";
  static constexpr std::string_view summary =
      "Adam with epsilon before the bias correction (Kingma and Ba 2015, end of section 2)";
  static constexpr int moments = 2;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    s = Adam::average(s, fma(o.weight_decay, s.weight, grad), o);
    const float rate = step.learning_rate * step.correction1 / step.correction2;
    s.weight -= rate * s.first_moment / (sqrt(s.second_moment) + o.epsilon);
    return s;
  }
};

/// Loshchilov and Hutter 2019: weight decay is decoupled from the gradient.
struct AdamW {
  static constexpr std::string_view name = "adamw";
  static constexpr std::string_view summary = "Adam with weight decay apart from the gradient";
  static constexpr int moments = 2;
  ELBO_HD static OptimizerSlot update(OptimizerSlot s, float grad, const OptimizerSettings& o,
                                      const OptimizerStep& step) {
    s.weight = fma(-(step.learning_rate * o.weight_decay), s.weight, s.weight);
    return Adam::moments_update(s, grad, o, step);
  }
};

using Optimizers = List<Sgd, Adagrad, Adam, AdamW, AdamEpsilonHat>;
using Optimizer = Choice<Optimizers>;

}  // namespace elbo::math
