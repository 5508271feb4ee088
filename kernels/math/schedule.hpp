// Values that change over training, as a pure function of the step, so that a device can evaluate
// them without the host: the learning rate, and the KL weight beta with its warm-up.
#pragma once

#include <cstdint>

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

struct ConstantDecay {
  static constexpr std::string_view name = "constant";
  ELBO_HD static double factor(double, double) { return 1.0; }
};
struct LinearDecay {
  static constexpr std::string_view name = "linear";
  ELBO_HD static double factor(double progress, double floor) {
    return 1.0 + (floor - 1.0) * progress;
  }
};
/// Loshchilov and Hutter 2017, without restarts.
struct CosineDecay {
  static constexpr std::string_view name = "cosine";
  ELBO_HD static double factor(double progress, double floor) {
    return floor + (1.0 - floor) * 0.5 * (1.0 + ::cos(3.14159265358979323846 * progress));
  }
};
struct ExponentialDecay {
  static constexpr std::string_view name = "exponential";
  ELBO_HD static double factor(double progress, double floor) { return ::pow(floor, progress); }
};

using Decays = List<ConstantDecay, LinearDecay, CosineDecay, ExponentialDecay>;
using Decay = Choice<Decays>;

/// `base`, reached linearly over `warmup_steps`, then decaying to base * floor at `total_steps`.
struct Schedule {
  double base = 1.0;
  uint64_t warmup_steps = 0;
  uint64_t total_steps = 0;
  double floor = 0.0;
  Decay decay = Decay::of<ConstantDecay>();

  /// The value for the step with `step` steps before it.
  ELBO_HD float at(uint64_t step) const {
    if (step < warmup_steps)
      return static_cast<float>(base * static_cast<double>(step + 1) /
                                static_cast<double>(warmup_steps));
    double progress = 0.0;
    if (total_steps > warmup_steps)
      progress = min(1.0, static_cast<double>(step - warmup_steps) /
                              static_cast<double>(total_steps - warmup_steps));
    double factor = 1.0;
    decay.visit([&](auto kind) { factor = decltype(kind)::factor(progress, floor); });
    return static_cast<float>(base * factor);
  }
};

}  // namespace elbo::math
