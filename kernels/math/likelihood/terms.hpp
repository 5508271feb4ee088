// What every likelihood provides, as a concept: beside the terms below `Mean`, the activation that
// makes E[x] of an element's first parameter. See all.hpp for the list of them.
#pragma once

#include <concepts>
#include <string_view>

#include "kernels/math/activation.hpp"
#include "kernels/math/elementary.hpp"

namespace elbo::math {

/// One element's negative log-likelihood (nats) and its gradients with respect to the decoder's
/// `Parameters` outputs for that element and to the log-variance all elements share.
template <class T, int Parameters>
struct Terms {
  T nll;
  T grad_output[Parameters];
  T grad_log_variance;
};

/// How the variance shared by all elements enters: not at all, learned, or fixed by a setting.
enum class VarianceRole { none, learned, fixed };

/// Which data values the likelihood accepts.
enum class DataRange { real, unit_interval };

template <class L>
concept LikelihoodFormula = ActivationFormula<typename L::Mean> &&
    requires(float x, const float (&output)[L::parameters]) {
  { L::name } -> std::convertible_to<std::string_view>;
  { L::summary } -> std::convertible_to<std::string_view>;
  { L::variance } -> std::convertible_to<VarianceRole>;
  { L::range } -> std::convertible_to<DataRange>;
  { L::terms(x, output, x) } -> std::same_as<Terms<float, L::parameters>>;
};

}  // namespace elbo::math
