// Values that change during training, as pure functions of the step, so that a device can evaluate
// them without the host: the learning rate, the KL weight beta and the capacity of the KL term.
#pragma once

#include <cstdint>

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

/// The progress of a training, and the parameters of a decay.
struct DecayPoint {
  double progress = 0.0;  // 0 at the end of the warm-up, 1 at the end of the training
  double floor = 0.0;     // the factor at the end
  int milestones = 0;     // passed
  double gamma = 1.0;     // factor per milestone
};

struct ConstantDecay {
  static constexpr std::string_view name = "constant";
  ELBO_HD static double factor(const DecayPoint&) { return 1.0; }
};
struct LinearDecay {
  static constexpr std::string_view name = "linear";
  ELBO_HD static double factor(const DecayPoint& p) { return 1.0 + (p.floor - 1.0) * p.progress; }
};
/// Loshchilov and Hutter 2017, without restarts.
struct CosineDecay {
  static constexpr std::string_view name = "cosine";
  ELBO_HD static double factor(const DecayPoint& p) {
    return p.floor + (1.0 - p.floor) * 0.5 * (1.0 + ::cos(3.14159265358979323846 * p.progress));
  }
};
struct ExponentialDecay {
  static constexpr std::string_view name = "exponential";
  ELBO_HD static double factor(const DecayPoint& p) { return ::pow(p.floor, p.progress); }
};
struct MultistepDecay {
  static constexpr std::string_view name = "multistep";
  ELBO_HD static double factor(const DecayPoint& p) {
    double factor = 1.0;
    for (int i = 0; i < p.milestones; ++i) factor *= p.gamma;
    return factor;
  }
};

using Decays = List<ConstantDecay, LinearDecay, CosineDecay, ExponentialDecay, MultistepDecay>;
using Decay = Choice<Decays>;

/// Steps of a multistep decay, ascending.
struct Milestones {
  static constexpr int kMost = 16;
  uint64_t steps[kMost] = {};
  int count = 0;

  ELBO_HD int passed(uint64_t step) const {
    int passed = 0;
    while (passed < count && steps[passed] <= step) ++passed;
    return passed;
  }
};

/// `base`, reached linearly over `warmup_steps`, then decaying to base * floor at `total_steps`, or
/// by gamma at each of the milestones. With `cycle_steps` > 0 the schedule restarts after that
/// number of steps (cyclical annealing: Fu et al. 2019).
struct Schedule {
  double base = 1.0;
  uint64_t warmup_steps = 0;
  uint64_t total_steps = 0;
  double floor = 0.0;
  Decay decay = Decay::of<ConstantDecay>();
  double gamma = 1.0;
  Milestones milestones = {};
  uint64_t cycle_steps = 0;

  /// The value of the step that follows `step` steps.
  ELBO_HD float at(uint64_t step) const {
    if (cycle_steps > 0) step %= cycle_steps;
    if (step < warmup_steps)
      return static_cast<float>(base * static_cast<double>(step + 1) /
                                static_cast<double>(warmup_steps));
    DecayPoint point = {0.0, floor, milestones.passed(step), gamma};
    if (total_steps > warmup_steps)
      point.progress = min(1.0, static_cast<double>(step - warmup_steps) /
                                    static_cast<double>(total_steps - warmup_steps));
    double factor = 1.0;
    decay.visit([&](auto kind) { factor = decltype(kind)::factor(point); });
    return static_cast<float>(base * factor);
  }
};

}  // namespace elbo::math
