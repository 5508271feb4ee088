// The Gaussian posterior q(z|x) = N(mu, diag exp(logvar)): reparameterisation and the KL divergence
// to the prior N(0, I), per latent element, with their gradients. Kingma and Welling,
// "Auto-Encoding Variational Bayes", 2014, equations 10 and appendix B.
#pragma once

#include "kernels/math/elementary.hpp"

namespace elbo::math {

/// Log-variances of posterior and likelihood are clamped to this range: e^±16 covers every sensible
/// scale (dequantised 8-bit data are above e^-13.6), and nothing overflows.
inline constexpr float kMinLogVariance = -16.0f;
inline constexpr float kMaxLogVariance = 16.0f;

template <class T>
ELBO_HD Clamped<T> clamp_log_variance(T raw) {
  return clamp(raw, T(kMinLogVariance), T(kMaxLogVariance));
}

/// exp(logvar / 2)
template <class T>
ELBO_HD T posterior_deviation(T logvar) {
  return exp_bounded(T(0.5) * clamp_log_variance(logvar).value);
}

/// z = mu + exp(logvar / 2) * epsilon
template <class T>
ELBO_HD T reparameterize(T mu, T logvar, T epsilon) {
  return fma(posterior_deviation(logvar), epsilon, mu);
}

/// KL(N(mu, e^logvar) || N(0, 1)) in nats.
template <class T>
ELBO_HD T gaussian_kl(T mu, T logvar) {
  const T lv = clamp_log_variance(logvar).value;
  return T(0.5) * (fma(mu, mu, exp_bounded(lv)) - T(1) - lv);
}

/// log N(z; 0, 1) - log N(z; mu, e^logvar) in nats at z = mu + exp(logvar / 2) * epsilon:
/// (epsilon^2 + logvar - z^2) / 2, since epsilon = (z - mu) / exp(logvar / 2). The difference of
/// squares is computed as a product, which keeps its digits if the posterior is close to the prior.
template <class T>
ELBO_HD T log_prior_ratio(T z, T logvar, T epsilon) {
  return T(0.5) * fma(epsilon - z, epsilon + z, clamp_log_variance(logvar).value);
}

template <class T>
struct PosteriorGradient {
  T mu;
  T logvar;
};

/// Gradient of (loss through z) + kl_weight * KL, given grad_z summed over samples and
/// grad_z_epsilon = sum over samples of grad_z * epsilon.
template <class T>
ELBO_HD PosteriorGradient<T> posterior_gradient(T mu, T logvar, T grad_z, T grad_z_epsilon,
                                                T kl_weight) {
  const Clamped<T> lv = clamp_log_variance(logvar);
  const T deviation = exp_bounded(T(0.5) * lv.value);
  const T through_z = T(0.5) * deviation * grad_z_epsilon;
  const T through_kl = T(0.5) * (fma(deviation, deviation, T(-1)));
  return {fma(kl_weight, mu, grad_z), lv.derivative * fma(kl_weight, through_kl, through_z)};
}

/// The part of the gradient of -weight * log_prior_ratio that passes through z; the rest is in
/// importance_gradient().
template <class T>
ELBO_HD T importance_gradient_z(T z, T weight) {
  return weight * z;
}

/// Gradient of (loss through z) - kl_weight * the weighted mean over samples of log_prior_ratio,
/// given the sums over samples of grad_z and grad_z * epsilon, importance_gradient_z() included.
template <class T>
ELBO_HD PosteriorGradient<T> importance_gradient(T logvar, T grad_z, T grad_z_epsilon,
                                                 T kl_weight) {
  const Clamped<T> lv = clamp_log_variance(logvar);
  const T through_z = T(0.5) * exp_bounded(T(0.5) * lv.value) * grad_z_epsilon;
  return {grad_z, lv.derivative * fma(T(-0.5), kl_weight, through_z)};
}

/// beta if a dimension's KL exceeds its free nats, else 0: beta times the slope of max(free, kl).
ELBO_HD float free_bits_weight(double kl, float free, float beta) {
  return kl > static_cast<double>(free) ? beta : 0.0f;
}

/// beta * sign(kl - capacity): beta times the slope of |kl - capacity|.
ELBO_HD float capacity_weight(double kl, float capacity, float beta) {
  return beta * sign(static_cast<float>(kl - static_cast<double>(capacity)));
}

}  // namespace elbo::math
