// Poisson likelihood from log-rates, for counts.
#pragma once

#include "kernels/math/likelihood/terms.hpp"

namespace elbo::math {

/// -log p(x) = e^log_rate - x log_rate + log x!, in nats.
struct Poisson {
  static constexpr std::string_view name = "poisson";
  static constexpr std::string_view summary = "Poisson(e^log_rate) per element, for counts";
  static constexpr int parameters = 1;
  static constexpr VarianceRole variance = VarianceRole::none;
  static constexpr DataRange range = DataRange::real;
  using Mean = Exponential;

  template <class T>
  ELBO_HD static Terms<T, 1> terms(T x, const T (&output)[1], const SharedVariance<T>&) {
    const T log_rate = output[0];
    const T rate = exp(log_rate);
    return {rate - x * log_rate + std::lgamma(x + T(1)), {rate - x}, T(0)};
  }
  static std::array<double, 1> start(double mean, double) { return {std::log(mean + 1e-3)}; }
};

}  // namespace elbo::math
