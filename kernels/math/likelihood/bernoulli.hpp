// Bernoulli likelihood from logits, for data in [0, 1].
#pragma once

#include "kernels/math/likelihood/terms.hpp"

namespace elbo::math {

/// -log p(x) = softplus(logit) - x * logit, in nats. It is a likelihood only for x in {0, 1}; for
/// grey x it is a cross-entropy, bounded below by the entropy of the targets.
struct Bernoulli {
  static constexpr std::string_view name = "bernoulli";
  static constexpr std::string_view summary =
      "Bernoulli(sigmoid(logit)) per element, for binary data";
  static constexpr int parameters = 1;
  static constexpr VarianceRole variance = VarianceRole::none;
  static constexpr DataRange range = DataRange::unit_interval;
  using Mean = Sigmoid;

  template <class T>
  ELBO_HD static Terms<T, 1> terms(T x, const T (&output)[1], const SharedVariance<T>&) {
    const T logit = output[0];
    const T e = exp_negative(-abs(logit));
    return {linear(x, logit) + log1p_unit(e), {probability(logit, e) - x}, T(0)};
  }
  static std::array<double, 1> start(double mean, double) {
    constexpr double kMargin = 1e-3;  // for elements that never vary
    const double inside = max(kMargin, min(mean, 1.0 - kMargin));
    return {std::log(inside / (1.0 - inside))};
  }

  /// The nll of several elements with one logarithm, of the product of their 1 + e. The product is
  /// stored minus 1, so that small e are not lost. At most 100 elements in float, since e <= 1.
  template <class T>
  struct Sum {
    T linear_part = T(0);
    T product = T(0);  // minus 1

    /// Adds an element and returns its gradient.
    ELBO_HD T add(T x, const T (&output)[1]) {
      const T logit = output[0];
      const T e = exp_negative(-abs(logit));
      linear_part += linear(x, logit);
      product = fma(product, e, product) + e;
      return probability(logit, e) - x;
    }
    ELBO_HD T nll() const { return linear_part + log1p_positive(product); }
  };

 private:
  /// The nll minus log(1 + e), with e = exp(-|logit|).
  template <class T>
  ELBO_HD static T linear(T x, T logit) {
    return max(logit, T(0)) - x * logit;
  }
  /// sigmoid(logit)
  template <class T>
  ELBO_HD static T probability(T logit, T e) {
    return (logit < T(0) ? e : T(1)) / (T(1) + e);
  }
};

}  // namespace elbo::math
