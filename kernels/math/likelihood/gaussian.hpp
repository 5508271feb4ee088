// Gaussian likelihoods N(x; mean, e^log_variance): one variance per element, one learned variance
// for all, or a fixed one (squared error with its constant).
#pragma once

#include "kernels/math/likelihood/terms.hpp"
#include "kernels/math/posterior.hpp"

namespace elbo::math {

/// -log N(x; mean, e^logvar) in nats: (log 2 pi + logvar + (x - mean)^2 e^-logvar) / 2.
template <class T>
ELBO_HD T gaussian_nll(T scaled_square, T logvar) {
  return T(0.5) * (T(kLogTwoPi) + logvar + scaled_square);
}

/// The decoder gives a mean and a log-variance for every element.
struct Gaussian {
  static constexpr std::string_view name = "gaussian";
  static constexpr std::string_view summary =
      "N(mean, variance), both per element from the decoder";
  static constexpr int parameters = 2;
  static constexpr VarianceRole variance = VarianceRole::none;
  static constexpr DataRange range = DataRange::real;
  using Mean = Identity;

  template <class T>
  ELBO_HD static Terms<T, 2> terms(T x, const T (&output)[2], T) {
    const ClampedLogVariance<T> lv = clamp_log_variance(output[1]);
    const T precision = exp(-lv.value);
    const T error = output[0] - x;
    const T scaled = error * precision;
    const T square = error * scaled;
    return {
        gaussian_nll(square, lv.value), {scaled, lv.derivative * T(0.5) * (T(1) - square)}, T(0)};
  }
};

/// The decoder gives the mean; one log-variance is learned for all elements.
struct GaussianShared {
  static constexpr std::string_view name = "gaussian-shared";
  static constexpr std::string_view summary =
      "N(mean, s2), one learned variance s2 for all elements";
  static constexpr int parameters = 1;
  static constexpr VarianceRole variance = VarianceRole::learned;
  static constexpr DataRange range = DataRange::real;
  using Mean = Identity;

  template <class T>
  ELBO_HD static Terms<T, 1> terms(T x, const T (&output)[1], T log_variance) {
    const ClampedLogVariance<T> lv = clamp_log_variance(log_variance);
    const T error = output[0] - x;
    const T scaled = error * exp(-lv.value);
    const T square = error * scaled;
    return {gaussian_nll(square, lv.value), {scaled}, lv.derivative * T(0.5) * (T(1) - square)};
  }
};

/// The decoder gives the mean; the variance is a setting. Squared error, with its constant.
struct Mse {
  static constexpr std::string_view name = "mse";
  static constexpr std::string_view summary = "N(mean, s2) with s2 fixed (--mse-variance)";
  static constexpr int parameters = 1;
  static constexpr VarianceRole variance = VarianceRole::fixed;
  static constexpr DataRange range = DataRange::real;
  using Mean = Identity;

  template <class T>
  ELBO_HD static Terms<T, 1> terms(T x, const T (&output)[1], T log_variance) {
    return GaussianShared::terms(x, output, log_variance);
  }
};

}  // namespace elbo::math
