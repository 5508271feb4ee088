#include "host/model/recipe.hpp"

#include "kernels/core/error.hpp"

namespace elbo {

std::span<const Recipe> recipes() {
  static const std::vector<Recipe> list = {
      {"vae", "variational autoencoder, Gaussian posterior (Kingma and Welling 2014)", {}},
      {"beta-vae",
       "VAE with a heavier KL term and a warm-up (Higgins et al. 2017)",
       {{"beta", "4"}, {"kl-warmup-epochs", "5"}}},
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
