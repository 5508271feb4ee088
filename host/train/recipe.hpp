// Recipes: named sets of settings. A recipe is plain data; to add one, add an entry to the list.
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "host/train/config.hpp"

namespace elbo {

struct Recipe {
  std::string_view name;
  std::string_view summary;
  std::vector<std::pair<std::string_view, std::string_view>> settings;  // key, value
};

std::span<const Recipe> recipes();

/// Returns the default settings overridden by the recipe. For an unknown name, throws ConfigError
/// that suggests the nearest recipe or lists all.
Config config_for_recipe(std::string_view name);

}  // namespace elbo
