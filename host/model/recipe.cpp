#include "host/model/recipe.hpp"

#include "kernels/core/error.hpp"

namespace elbo {

std::span<const Recipe> recipes() {
  static const std::vector<Recipe> list = {
      {"vae", "variational autoencoder, Gaussian posterior (Kingma and Welling 2014)", {}},
      {"beta-vae",
       "VAE with a heavier KL term and a warm-up (Higgins et al. 2017)",
       {{"beta", "4"}, {"kl-warmup-epochs", "5"}}},
      {"iwae",
       "importance-weighted autoencoder, a tighter bound (Burda, Grosse and Salakhutdinov 2016)",
       {{"objective", "iwae"}, {"samples", "5"}}},
      {"ppca",
       "linear VAE whose optimum is probabilistic PCA (Lucas et al. 2019)",
       {{"hidden", ""},
        {"activation", "identity"},
        {"latent-dim", "10"},
        {"likelihood", "gaussian-shared"},
        {"posterior-variance", "shared"},
        {"dequantize", "none"},
        {"validation-fraction", "0"},
        {"steps", "100000"},
        {"learning-rate", "1e-2"},
        {"learning-rate-schedule", "cosine"},
        {"learning-rate-floor", "1e-3"}}},
      {"pca",
       "linear autoencoder, whose optimum spans PCA's subspace (Baldi and Hornik 1989)",
       {{"hidden", ""},
        {"activation", "identity"},
        {"bottleneck", "deterministic"},
        {"latent-dim", "10"},
        {"likelihood", "mse"},
        {"dequantize", "none"},
        {"validation-fraction", "0"},
        {"steps", "5000"},
        {"batch-size", "1000"},
        {"learning-rate", "1e-2"},
        {"learning-rate-schedule", "cosine"},
        {"learning-rate-floor", "1e-3"}}},
      {"autoencoder",
       "encoder z = f(W x + b), decoder x = g(W z + b), squared error",
       {{"hidden", "512"},
        {"bottleneck", "deterministic"},
        {"likelihood", "mse"},
        {"dequantize", "none"},
        {"learning-rate-schedule", "cosine"}}},
      {"deep-autoencoder",
       "d-1000-500-250-30 and back (Hinton and Salakhutdinov 2006)",
       {{"hidden", "1000,500,250"},
        {"bottleneck", "deterministic"},
        {"latent-dim", "30"},
        {"likelihood", "bernoulli"},
        {"binarize", "none"},
        {"activation", "silu"},
        {"epochs", "40"},
        {"learning-rate-schedule", "cosine"}}},
      {"denoising-autoencoder",
       "reconstructs clean inputs from corrupted ones; over-complete (Vincent et al. 2010)",
       {{"hidden", ""},
        {"bottleneck", "deterministic"},
        {"latent-dim", "1024"},
        {"code-activation", "relu"},
        {"likelihood", "mse"},
        {"dequantize", "none"},
        {"corruption", "masking"},
        {"corruption-level", "0.5"},
        {"learning-rate-schedule", "cosine"}}},
      {"regularized-autoencoder",
       "sparse code (L1) that a classifier reads, trained jointly",
       {{"hidden", "512"},
        {"bottleneck", "deterministic"},
        {"latent-dim", "256"},
        {"code-activation", "relu"},
        {"code-l1", "1e-3"},
        {"classifier", "cross-entropy"},
        {"reconstruction-weight", "0.1"},
        {"likelihood", "mse"},
        {"dequantize", "none"},
        {"learning-rate-schedule", "cosine"}}},
      {"mlp-classifier",
       "layers h = relu(W h + b), softmax, cross-entropy; no decoder",
       {{"bottleneck", "none"},
        {"likelihood", "none"},
        {"classifier", "cross-entropy"},
        {"epochs", "15"},
        {"learning-rate-schedule", "cosine"}}},
      {"gan-autoencoder",
       "VAE whose decoder is also a GAN's generator (Larsen et al. 2016)",
       {{"latent-dim", "32"},
        {"likelihood", "bernoulli"},
        {"binarize", "none"},
        {"discriminator", "data"},
        {"adversarial-weight", "10"},
        {"beta1", "0.5"}}},
      {"adversarial-autoencoder",
       "a discriminator makes codes look like N(0, I) (Makhzani et al. 2015)",
       {{"bottleneck", "deterministic"},
        {"latent-dim", "8"},
        {"likelihood", "bernoulli"},
        {"binarize", "none"},
        {"discriminator", "code"},
        {"adversarial-weight", "10"},
        {"beta1", "0.5"},
        {"learning-rate-schedule", "cosine"}}},
  };
  return list;
}

Config config_for_recipe(std::string_view name) {
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes()) {
    names.emplace_back(recipe.name);
    if (recipe.name != name) continue;
    Config config;
    config.recipe = name;
    for (const auto& [key, value] : recipe.settings) apply_setting(config, key, value);
    return config;
  }
  throw ConfigError("recipe: no recipe is called '" + std::string(name) + "'; did you mean '" +
                    nearest_name(name, names) + "'?");
}

}  // namespace elbo
