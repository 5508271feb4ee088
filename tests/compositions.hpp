// Small models of all kinds of parts, for tests that go over them.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/small_training.hpp"

namespace elbo {

inline constexpr int64_t kRows = 8;
inline constexpr int32_t kClasses = 3;

/// Settings of a small model of these parts.
struct Composed {
  const char* name;
  std::vector<std::pair<const char*, const char*>> settings;
};

inline void PrintTo(const Composed& parts, std::ostream* out) { *out << parts.name; }

inline Config composed_config(const Composed& parts) {
  Config config = small_config();
  config.hidden = {6};
  config.likelihood = "mse";
  config.mse_variance = 0.5;
  config.samples = 1;
  config.classifier_hidden = {4};
  config.discriminator_hidden = {5};
  config.discriminator_activation = "tanh";  // without a kink, for difference quotients
  config.learning_rate = 1e-30;              // weights stay where they are
  config.beta = 0.7;
  for (const auto& [key, value] : parts.settings) apply_setting(config, key, value);
  validate(config);
  return config;
}

inline Dataset labelled_data(int64_t rows = kRows) {
  std::vector<int32_t> labels(static_cast<size_t>(rows));
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i * 2 % kClasses);
  return Dataset::from_rows(uniform_floats(static_cast<size_t>(rows * kSmallDim), 0.0f, 1.0f, 1),
                            {kSmallDim}, {.validation_fraction = 0.0}, std::move(labels));
}

/// Every part, and every way in which they can be put together that has ops of its own.
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
    {"sparse_silu",  // whose derivative is taken from the pre-activation
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
      {"judged", "samples"},
      {"likelihood", "gaussian"},
      {"samples", "2"}}},
    {"gan_of_reconstructions",
     {{"discriminator", "data"},
      {"judged", "reconstructions"},
      {"bottleneck", "deterministic"},
      {"reconstruction-weight", "0"}}},
    {"gan_learned_variance",
     {{"discriminator", "data"},
      {"likelihood", "gaussian-shared"},
      {"posterior-variance", "shared"}}},
    {"adversarial_code", {{"discriminator", "code"}, {"bottleneck", "deterministic"}}},
    {"adversarial_code_of_vae",
     {{"discriminator", "code"}, {"samples", "2"}, {"classifier", "cross-entropy"}}},
};

}  // namespace elbo
