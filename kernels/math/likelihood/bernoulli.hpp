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
  ELBO_HD static Terms<T, 1> terms(T x, const T (&output)[1], T) {
    const T logit = output[0];
    const T e = exp(-abs(logit));
    const T q = T(1) / (T(1) + e);
    const T probability = logit < T(0) ? e * q : q;
    return {max(logit, T(0)) - x * logit + log1p_unit(e), {probability - x}, T(0)};
  }
};

}  // namespace elbo::math
