// Gaussian likelihoods N(x; mean, e^log_variance): one variance per element, one learned variance
// for all elements or for each channel, or a fixed variance (squared error with its constant).
#pragma once

#include "kernels/math/likelihood/terms.hpp"

namespace elbo::math {

/// -log N(x; mean, e^logvar) in nats: (log 2 pi + logvar + (x - mean)^2 e^-logvar) / 2.
template <class T>
ELBO_HD T gaussian_nll(T scaled_square, T logvar) {
  return T(0.5) * (T(kLogTwoPi) + logvar + scaled_square);
}

/// The decoder outputs a mean and a log-variance for every element.
struct Gaussian {
  static constexpr std::string_view name = "gaussian";
  static constexpr std::string_view summary =
      "N(mean, variance), both per element from the decoder";
  static constexpr int parameters = 2;
  static constexpr VarianceRole variance = VarianceRole::none;
  static constexpr DataRange range = DataRange::real;
  using Mean = Identity;

  template <class T>
  ELBO_HD static Terms<T, 2> terms(T x, const T (&output)[2], const SharedVariance<T>&) {
    const SharedVariance<T> own = shared_variance(output[1]);
    const T error = output[0] - x;
    const T scaled = error * own.precision;
    const T square = error * scaled;
    return {
        gaussian_nll(square, own.log), {scaled, own.derivative * T(0.5) * (T(1) - square)}, T(0)};
  }
  static std::array<double, 2> start(double mean, double variance) {
    return {mean, std::log(variance)};
  }
};

/// The decoder outputs the mean; one log-variance is learned for all elements.
struct GaussianShared {
  static constexpr std::string_view name = "gaussian-shared";
  static constexpr std::string_view summary =
      "N(mean, s2), one learned variance s2 for all elements";
  static constexpr int parameters = 1;
  static constexpr VarianceRole variance = VarianceRole::learned;
  static constexpr DataRange range = DataRange::real;
  using Mean = Identity;

  template <class T>
  ELBO_HD static Terms<T, 1> terms(T x, const T (&output)[1], const SharedVariance<T>& shared) {
    const T error = output[0] - x;
    const T scaled = error * shared.precision;
    const T square = error * scaled;
    return {
        gaussian_nll(square, shared.log), {scaled}, shared.derivative * T(0.5) * (T(1) - square)};
  }
  static std::array<double, 1> start(double mean, double) { return {mean}; }
};

/// The decoder outputs the mean; one log-variance is learned for each channel of a picture.
struct GaussianChannel : GaussianShared {
  static constexpr std::string_view name = "gaussian-channel";
  static constexpr std::string_view summary =
      "N(mean, s2), one learned variance s2 for each channel of a picture";
  static constexpr VarianceRole variance = VarianceRole::learned_by_channel;
};

/// The decoder outputs the mean; the variance is a setting. This is the squared error with its
/// constant.
struct Mse : GaussianShared {
  static constexpr std::string_view name = "mse";
  static constexpr std::string_view summary = "N(mean, s2) with s2 fixed (--mse-variance)";
  static constexpr VarianceRole variance = VarianceRole::fixed;
};

}  // namespace elbo::math
