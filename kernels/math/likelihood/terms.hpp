// The concept of a likelihood: the terms below, and `Mean`, the activation that maps an element's
// first parameter to E[x]. See all.hpp for the list of them.
#pragma once

#include <array>
#include <concepts>
#include <string_view>

#include "kernels/math/activation.hpp"
#include "kernels/math/elementary.hpp"
#include "kernels/math/posterior.hpp"

namespace elbo::math {

/// A variance that many elements share, prepared once for all of them.
template <class T>
struct SharedVariance {
  T log;         // clamped
  T precision;   // e^-log
  T derivative;  // of the clamp
};

template <class T>
ELBO_HD SharedVariance<T> shared_variance(T log_variance) {
  const Clamped<T> log = clamp_log_variance(log_variance);
  return {log.value, exp_bounded(-log.value), log.derivative};
}

/// One element's negative log-likelihood (nats) and its gradients with respect to the decoder's
/// `Parameters` outputs for that element and to the shared log-variance.
template <class T, int Parameters>
struct Terms {
  T nll;
  T grad_output[Parameters];
  T grad_log_variance;
};

/// The role of a shared variance: none, learned for all elements, learned for each channel of a
/// picture, or fixed by a setting.
enum class VarianceRole { none, learned, learned_by_channel, fixed };

constexpr bool is_learned(VarianceRole role) {
  return role == VarianceRole::learned || role == VarianceRole::learned_by_channel;
}

/// Data values that the likelihood accepts: any; values from 0 to 1; v / 255 for 8-bit v.
enum class DataRange { real, unit_interval, bytes };

template <class L>
concept LikelihoodFormula = ActivationFormula<typename L::Mean> &&
    requires(float x, const float (&output)[L::parameters], const SharedVariance<float>& variance) {
  { L::name } -> std::convertible_to<std::string_view>;
  { L::summary } -> std::convertible_to<std::string_view>;
  { L::variance } -> std::convertible_to<VarianceRole>;
  { L::range } -> std::convertible_to<DataRange>;
  { L::terms(x, output, variance) } -> std::same_as<Terms<float, L::parameters>>;
  // The outputs for an element with this mean and variance (more than 0).
  { L::start(0.5, 0.1) } -> std::same_as<std::array<double, L::parameters>>;
};

}  // namespace elbo::math
