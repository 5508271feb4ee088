// Bernoulli likelihood from logits, for data in [0, 1].
#pragma once

#include "kernels/math/likelihood/terms.hpp"

namespace elbo::math {

/// -log p(x) = softplus(logit) - x * logit, in nats. A proper likelihood for x in {0, 1} only; for
/// grey x it is a cross-entropy, whose floor is the targets' own entropy.
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
    const T q = T(1) / (T(1) + e);
    const T probability = logit < T(0) ? e * q : q;
    return {max(logit, T(0)) - x * logit + log1p_unit(e), {probability - x}, T(0)};
  }
  static std::array<double, 1> start(double mean, double) {
    constexpr double kMargin = 1e-3;  // elements that never vary
    const double inside = max(kMargin, min(mean, 1.0 - kMargin));
    return {std::log(inside / (1.0 - inside))};
  }

  /// The nll of several elements with one logarithm: that of the product of their 1 + e, kept less
  /// 1 so that small e are not lost. Of at most 100 elements in float, since e is at most 1.
  template <class T>
  struct Sum {
    T linear = T(0);
    T product = T(0);  // less 1

    ELBO_HD void add(T x, const T (&output)[1]) {
      const T logit = output[0];
      const T e = exp_negative(-abs(logit));
      linear += max(logit, T(0)) - x * logit;
      product = fma(product, e, product) + e;
    }
    ELBO_HD T nll() const { return linear + log1p_positive(product); }
  };
};

}  // namespace elbo::math
