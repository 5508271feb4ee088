#include "host/train/config.hpp"

#include <algorithm>

#include "host/train/recipe.hpp"

namespace elbo {
namespace {

void apply(Config& config, const TomlSettings& toml) {
  if (toml.has("recipe")) {
    std::string name;
    toml.read("recipe", name);
    config = config_for_recipe(name);
  }
  set_from_toml(config, toml);
}

}  // namespace

void Config::check() const {
  check_ranges(*this);
  std::vector<std::string_view> names;
  for (const Recipe& each : recipes()) names.push_back(each.name);
  if (std::ranges::find(names, recipe) == names.end())
    reject_value("recipe", recipe, one_of(names));
  ModelSettings::check();
  TrainingSettings::check();
  UpdateSettings::check();
}

std::string to_toml(const Config& config) {
  std::string out;
  for_each_setting(config, [&](const char* key, const auto& value, const auto&, const char*) {
    out += std::string(key) + " = " + toml_of(value) + '\n';
  });
  return out;
}

void apply_toml(Config& config, std::string_view text, const std::string& source) {
  apply(config, TomlSettings(text, source));
}

void apply_toml_file(Config& config, const std::filesystem::path& path) {
  apply(config, toml_file(path));
}

void apply_setting(Config& config, std::string_view key, std::string_view value) {
  set_from_text(config, key, value);
}

DatasetOptions dataset_options(const Config& config) {
  return {.validation_fraction = config.validation_fraction,
          .validation_last = config.validation_split == ValidationSplit::last,
          .seed = static_cast<uint64_t>(config.seed),
          .images = {.size = config.image_size,
                     .channels = config.image_channels,
                     .skip_bad = config.skip_bad,
                     .cache = config.cache,
                     .threads = static_cast<int>(config.threads)}};
}

}  // namespace elbo
