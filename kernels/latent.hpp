// Contract: the latent layer. Noise is only in registers; the backward pass draws it again.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/philox.hpp"

namespace elbo {

/// Source of a latent op's epsilon: drawn in registers, addressed by (stream; row of the data set,
/// sample, element, step), or read from a buffer (cuRAND's generator, golden tests). Samples are
/// numbered from StepState::first_sample, so that the noise of a sample does not depend on how the
/// samples of an input are divided into runs. An address distinguishes 2^32 groups of four elements
/// of a row; beyond most_samples() the noise repeats.
struct EpsilonSource {
  uint64_t seed = 0;
  const uint32_t* row_ids = nullptr;  // [inputs] the data set's rows in this batch
  const float* buffer = nullptr;      // [inputs * samples, latent], or null: draw
  math::NoiseStream stream = math::NoiseStream::epsilon;
};

/// The largest number of samples of a row with distinct noise.
constexpr int64_t most_samples(int32_t latent) {
  return (int64_t{1} << 32) / ((int64_t{latent} + 3) / 4);
}

/// Parameters of the posterior: mu and logvar of input b start at b * stride from the pointers. A
/// stride of 0 shares one row among all inputs.
struct PosteriorView {
  const float* mu = nullptr;      // [inputs, latent] or [latent]
  const float* logvar = nullptr;  // [inputs, latent] or [latent]
  int32_t mu_stride = 0;
  int32_t logvar_stride = 0;
};

/// z[b*samples + l, :] = mu[b, :] + exp(logvar[b, :] / 2) * epsilon; kl[b] in nats (unless kl is
/// null); and log_ratio[b*samples + l] = log p(z) - log q(z|x) in nats (unless it is null), of z
/// before rounding to its format. With mu = logvar = 0, z is drawn from the prior.
struct LatentForward {
  static constexpr std::string_view name = "latent_forward";
  Rows inputs;
  int32_t samples = 1;
  int32_t latent = 0;
  PosteriorView posterior;
  EpsilonSource epsilon;
  Reals z;                     // [inputs * samples, latent]
  float* kl = nullptr;         // [inputs], or null
  float* log_ratio = nullptr;  // [inputs * samples], or null

  AccessList accesses() const {
    const int64_t b = inputs.capacity();
    return AccessList()
        .reads(inputs.state, 1)
        .reads_rows(posterior.mu, b, latent, posterior.mu_stride)
        .reads_rows(posterior.logvar, b, latent, posterior.logvar_stride)
        .reads(epsilon.row_ids, b)
        .reads(epsilon.buffer, b * samples * latent)
        .writes(z, b * samples * latent)
        .writes(kl, b)
        .writes(log_ratio, b * samples);
  }
  std::string sizes() const { return sizes_text({int64_t{inputs.capacity()} * samples, latent}); }
  double flops() const { return 0.0; }
};

/// The weight of each latent dimension's KL, if it depends on the batch. With KL_j the mean over
/// the batch of KL(q(z_j|x) || N(0, 1)), LatentBackward with these weights is the gradient of
///
///   beta * sum_j max(free_bits, KL_j)   (1), or with `capacity`
///   beta * |sum_j KL_j - capacity|      (2), the capacity being the one in the step's state.
///
/// (1) Equation 15 of D. P. Kingma et al., "Improved Variational Inference with Inverse
///     Autoregressive Flow", 2016
/// (2) Equation 8 of C. P. Burgess et al., "Understanding disentangling in beta-VAE", 2018
struct KlWeights {
  static constexpr std::string_view name = "kl_weights";
  Rows inputs;
  int32_t latent = 0;
  PosteriorView posterior;
  float free_bits = 0.0f;  // nats
  bool capacity = false;
  float* weight = nullptr;  // [latent]

  AccessList accesses() const {
    const int64_t b = inputs.capacity();
    return AccessList()
        .reads(inputs.state, 1)
        .reads_rows(posterior.mu, b, latent, posterior.mu_stride)
        .reads_rows(posterior.logvar, b, latent, posterior.logvar_stride)
        .writes(weight, latent);
  }
  std::string sizes() const { return sizes_text({inputs.capacity(), latent}); }
  double flops() const { return 0.0; }
};

/// Gradient of sum(grad_z * z) + (beta / active rows) * sum(kl) at mu and logvar:
/// grad_mu (=) and grad_logvar (=), both per input even if logvar is shared.
///
/// kl_weight[j] replaces beta for dimension j. With `importance`, the weights of
/// importance-weighted training, the KL is replaced by -sum_l importance[l] * log_ratio[l] /
/// samples per input, with log_ratio of LatentForward.
struct LatentBackward {
  static constexpr std::string_view name = "latent_backward";
  Rows inputs;
  int32_t samples = 1;
  int32_t latent = 0;
  PosteriorView posterior;
  EpsilonSource epsilon;
  const float* kl_weight = nullptr;   // [latent], or null
  const float* importance = nullptr;  // [inputs * samples], 1 on average, or null
  const float* grad_z = nullptr;      // [inputs * samples, latent]
  Reals grad_mu;                      // [inputs, latent], rows grad_mu_stride apart
  Reals grad_logvar;                  // [inputs, latent], rows grad_logvar_stride apart
  int32_t grad_mu_stride = 0;
  int32_t grad_logvar_stride = 0;

  AccessList accesses() const {
    const int64_t b = inputs.capacity();
    return AccessList()
        .reads(inputs.state, 1)
        .reads_rows(posterior.mu, b, latent, posterior.mu_stride)
        .reads_rows(posterior.logvar, b, latent, posterior.logvar_stride)
        .reads(epsilon.row_ids, b)
        .reads(epsilon.buffer, b * samples * latent)
        .reads(kl_weight, latent)
        .reads(importance, b * samples)
        .reads(grad_z, b * samples * latent)
        .writes_rows(grad_mu, b, latent, grad_mu_stride)
        .writes_rows(grad_logvar, b, latent, grad_logvar_stride);
  }
  std::string sizes() const { return sizes_text({int64_t{inputs.capacity()} * samples, latent}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo
