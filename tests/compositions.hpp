// Small models with every combination of parts, for tests that iterate over them.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/small_training.hpp"

namespace elbo {

inline constexpr int64_t kRows = 8;
inline constexpr int32_t kClasses = 3;

/// The settings of a small model, and the shape of its samples.
struct Composed {
  const char* name;
  std::vector<std::pair<const char*, const char*>> settings;
  Shape sample_shape = {kSmallDim};
};

inline void PrintTo(const Composed& parts, std::ostream* out) { *out << parts.name; }

inline Config composed_config(const Composed& parts) {
  Config config = small_config();
  config.hidden = {6};
  config.likelihood = math::Likelihood::of<math::Mse>();
  config.mse_variance = 0.5;
  config.samples = 1;
  config.classifier_hidden = {4};
  config.discriminator_hidden = {5};
  config.discriminator_activation =
      math::Activation::of<math::Tanh>();  // without a kink, for difference quotients
  config.learning_rate = 1e-30;            // leaves the weights unchanged
  config.beta = 0.7;
  for (const auto& [key, value] : parts.settings) apply_setting(config, key, value);
  config.check();
  return config;
}

inline Dataset labelled_data(int64_t rows = kRows, const Shape& sample_shape = {kSmallDim}) {
  std::vector<int32_t> labels(static_cast<size_t>(rows));
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i * 2 % kClasses);
  const auto values = static_cast<size_t>(rows * element_count(sample_shape));
  return Dataset::from_rows(uniform_floats(values, 0.0f, 1.0f, 1), sample_shape,
                            {.validation_fraction = 0.0}, std::move(labels));
}

/// Returns labelled_data as bytes, for likelihoods of 8-bit values.
inline Dataset labelled_bytes(int64_t rows, const Shape& sample_shape) {
  const Dataset data = labelled_data(rows, sample_shape);
  const Split& split = data.split("train");
  const auto* values = static_cast<const float*>(split.rows);
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * data.dim()));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(256 * values[i]);
  return Dataset::from_rows(std::move(bytes), sample_shape, {.validation_fraction = 0.0},
                            split.labels);
}

/// Every part, and every combination of parts that uses additional ops.
inline const Composed kCompositions[] = {
    {"classifier",
     {{"bottleneck", "none"}, {"likelihood", "none"}, {"classifier", "cross-entropy"}}},
    {"classifier_squared_error",
     {{"bottleneck", "none"}, {"likelihood", "none"}, {"classifier", "squared-error"}}},
    {"classifier_on_code",
     {{"bottleneck", "deterministic"}, {"likelihood", "none"}, {"classifier", "cross-entropy"}}},
    {"autoencoder", {{"bottleneck", "deterministic"}, {"code-activation", "tanh"}}},
    {"sparse_with_classifier",
     {{"bottleneck", "deterministic"},
      {"code-activation", "softplus"},
      {"code-l1", "0.3"},
      {"classifier", "cross-entropy"},
      {"classifier-weight", "0.5"}}},
    {"sparse_silu",  // its derivative needs the pre-activation
     {{"bottleneck", "deterministic"}, {"code-activation", "silu"}, {"code-l1", "0.3"}}},
    {"free_bits", {{"free-bits", "0.3"}, {"samples", "2"}}},
    {"capacity_above", {{"kl-capacity", "100"}, {"posterior-variance", "shared"}}},
    {"capacity_below", {{"kl-capacity", "0.01"}}},
    {"importance_weighted", {{"objective", "iwae"}, {"samples", "4"}}},
    {"importance_weighted_one_sample", {{"objective", "iwae"}, {"beta", "1"}}},
    {"importance_weighted_shared_variances",
     {{"objective", "iwae"},
      {"samples", "3"},
      {"likelihood", "gaussian-shared"},
      {"posterior-variance", "shared"},
      {"beta", "1"}}},
    {"importance_weighted_with_classifier",
     {{"objective", "iwae"},
      {"samples", "2"},
      {"likelihood", "bernoulli"},
      {"classifier", "cross-entropy"}}},
    {"vae_with_classifier", {{"classifier", "squared-error"}, {"samples", "3"}}},
    {"denoising",
     {{"bottleneck", "deterministic"}, {"corruption", "gaussian"}, {"corruption-level", "0.3"}}},
    {"denoising_vae", {{"corruption", "masking"}, {"corruption-level", "0.5"}}},
    {"gan_both", {{"discriminator", "data"}, {"likelihood", "bernoulli"}}},
    {"gan_two_parameters", {{"discriminator", "data"}, {"likelihood", "gaussian"}}},
    {"gan_saturating",
     {{"discriminator", "data"},
      {"generator-loss", "saturating"},
      {"adversarial-weight", "2"},
      {"reconstruction-weight", "0.5"}}},
    {"gan_of_samples",
     {{"discriminator", "data"},
      {"discriminator-inputs", "samples"},
      {"likelihood", "gaussian"},
      {"samples", "2"}}},
    {"gan_of_reconstructions",
     {{"discriminator", "data"},
      {"discriminator-inputs", "reconstructions"},
      {"bottleneck", "deterministic"},
      {"reconstruction-weight", "0"}}},
    {"gan_learned_variance",
     {{"discriminator", "data"},
      {"likelihood", "gaussian-shared"},
      {"posterior-variance", "shared"}}},
    {"bytes_with_classifier",
     {{"likelihood", "discretized-logistic"}, {"samples", "2"}, {"classifier", "cross-entropy"}}},
    {"importance_weighted_bytes",
     {{"objective", "iwae"}, {"samples", "3"}, {"likelihood", "discretized-logistic"}}},
    {"gan_of_bytes", {{"discriminator", "data"}, {"likelihood", "discretized-logistic"}}},
    {"adversarial_code", {{"discriminator", "code"}, {"bottleneck", "deterministic"}}},
    {"adversarial_code_of_vae",
     {{"discriminator", "code"}, {"samples", "2"}, {"classifier", "cross-entropy"}}},
    {"conv_two_parameters",  // also odd sizes
     {{"network", "conv"}, {"channels", "4"}, {"likelihood", "gaussian"}},
     {5, 4, 3}},
    {"conv_pooled",
     {{"network", "conv"},
      {"channels", "3"},
      {"kernel-size", "3"},
      {"downsampling", "average"},
      {"upsampling", "nearest"},
      {"activation", "silu"},
      {"likelihood", "bernoulli"},
      {"posterior-variance", "shared"},
      {"samples", "2"}},
     {4, 6}},
    // Group normalization splits nine channels into three groups. In a group of one channel it
    // would cancel the preceding bias, whose gradient would then be zero.
    {"conv_importance_weighted",
     {{"network", "conv"},
      {"channels", "9"},
      {"hidden", ""},
      {"normalization", "group"},
      {"upsampling", "bilinear"},
      {"activation", "softplus"},
      {"objective", "iwae"},
      {"samples", "3"}},
     {3, 4, 4}},
    {"conv_gan",
     {{"network", "conv"},
      {"channels", "9"},
      {"hidden", ""},
      {"normalization", "group"},
      {"residual-blocks", "1"},
      {"activation", "silu"},
      {"discriminator", "data"}},
     {3, 4, 5}},
    {"conv_gan_of_reconstructions",
     {{"network", "conv"},
      {"channels", "4,3"},
      {"kernel-size", "3"},
      {"downsampling", "average"},
      {"likelihood", "bernoulli"},
      {"bottleneck", "deterministic"},
      {"discriminator", "data"},
      {"discriminator-hidden", ""},
      {"discriminator-inputs", "reconstructions"},
      {"classifier", "cross-entropy"}},
     {4, 8, 1}},
};

}  // namespace elbo
