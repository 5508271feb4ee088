// Logistic likelihood of 8-bit values: a logistic distribution, divided into the 256 bins of the
// values (Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling, "Improved variational inference
// with inverse autoregressive flow", 2016; Salimans, Karpathy, Chen, Kingma, "PixelCNN++", 2017).
#pragma once

#include "kernels/math/likelihood/terms.hpp"

namespace elbo::math {

/// P(x) = sigma(a) - sigma(b) for x = v / 255, with a = (x + h - mu) / s and b = (x - h - mu) / s
/// at the edges of the bin, h = 1 / 510; the bins of 0 and 255 extend to infinity. The decoder
/// outputs mu and log s. It is a probability, not a density: the sum over the 256 values is 1.
///
/// By sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b - a)),
///   -log P = max(-a, 0) + max(b, 0) + log((1 + e^-|a|) (1 + e^-|b|) / (1 - e^(b - a))),
/// which is free of cancellation. Terms of a missing edge are omitted.
struct DiscretizedLogistic {
  static constexpr std::string_view name = "discretized-logistic";
  static constexpr std::string_view summary =
      "8-bit values: a logistic over their bins, mean and log-scale per element from the decoder";
  static constexpr int parameters = 2;
  static constexpr VarianceRole variance = VarianceRole::none;
  static constexpr DataRange range = DataRange::bytes;
  using Mean = Clip;

  static constexpr double half_bin = 1.0 / 510.0;
  /// log s is clamped to +-10. Below, the bin around mu contains all but 2 e^-43 of the mass, so a
  /// smaller s gains nothing; above, an inner bin contains e^-17 and the end bins the rest. Within
  /// the bounds 1 / s, the width of a bin in units of s and every gradient are far from overflow.
  static constexpr double log_scale_limit = 10.0;

  template <class T>
  ELBO_HD static Terms<T, 2> terms(T x, const T (&output)[2], const SharedVariance<T>&) {
    constexpr T kHalfBin = T(half_bin);
    const Clamped<T> log_scale = clamp(output[1], T(-log_scale_limit), T(log_scale_limit));
    const T rate = exp_bounded(-log_scale.value);  // 1 / s
    const T error = x - output[0];
    const T a = (error + kHalfBin) * rate, b = (error - kHalfBin) * rate;
    const T width = T(2) * kHalfBin * rate;  // a - b
    const bool lowest = x < kHalfBin;
    const bool highest = x > T(1) - kHalfBin;
    const bool inside = !(lowest || highest);

    const T ea = highest ? T(0) : exp_negative(-abs(a)), eb = lowest ? T(0) : exp_negative(-abs(b));
    const T decay = inside ? exp_negative(-width) : T(0);
    const T kept = inside ? -expm1_negative(-width) : T(1);  // 1 - decay
    const T linear = (highest ? T(0) : max(-a, T(0))) + (lowest ? T(0) : max(b, T(0)));
    const T nll = linear + log1p_positive((ea + eb + ea * eb + decay) / kept);

    // The mass of the logistic beyond the bin on either side.
    const T qa = T(1) / (T(1) + ea), qb = T(1) / (T(1) + eb);
    const T above = highest ? T(0) : a > T(0) ? ea * qa : qa;
    const T below = lowest ? T(0) : b < T(0) ? eb * qb : qb;
    return {nll,
            {rate * (above - below),
             log_scale.derivative * (a * above - b * below + width * decay / kept)},
            T(0)};
  }
  static std::array<double, 2> start(double mean, double variance) {
    constexpr double kPiSquared =
        9.86960440108935861883;  // the variance of a logistic is s^2 pi^2 / 3
    return {mean, 0.5 * std::log(3.0 * variance / kPiSquared)};
  }
};

}  // namespace elbo::math
