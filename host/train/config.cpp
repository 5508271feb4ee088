#include "host/train/config.hpp"

#include <algorithm>

#include "host/io/text.hpp"
#include "host/train/recipe.hpp"
#include "host/train/training_pass.hpp"

namespace elbo {
namespace {

/// Lets the later source determine the length of the training: its epochs replace earlier steps.
std::string replace_steps(Config& config, bool has_epochs, bool has_steps) {
  if (!has_epochs || has_steps || config.steps == 0) return "";
  const std::string steps = said(config, config.steps);
  config.steps = 0;
  return said(config, config.epochs) + " replaces " + steps + ", which was set before";
}

std::string apply(Config& config, const TomlSettings& toml) {
  if (toml.has("recipe")) {
    std::string name;
    toml.name_source([&] {
      toml.read("recipe", name);
      config = config_for_recipe(name);
    });
  }
  set_from_toml(config, toml);
  return replace_steps(config, toml.has("epochs"), toml.has("steps"));
}

}  // namespace

void Config::check() const {
  Combination combination(*this);
  check(combination);
}

void Config::check(Combination& combination) const {
  check_ranges(*this);
  std::vector<std::string_view> names;
  for (const Recipe& each : recipes()) names.push_back(each.name);
  if (std::ranges::find(names, recipe) == names.end())
    reject_value("recipe", recipe, one_of(names));
  ModelSettings::check(combination);
  TrainingSettings::check(combination);
  UpdateSettings::check(combination);
}

std::vector<std::string> Config::idle(const Dataset& data, const Config& start,
                                      const std::set<std::string>& given) const {
  Combination c(*this, start, given);
  check(c);
  DataSettings::check(c, data);
  InputSettings::check(c, *this, data.dtype());
  RunSettings::check(c, data);
  const auto rows = data.split("train").size();
  c.idle_unless(data_window < rows, "on " + std::to_string(rows) + " rows", data_window);
  c.idle_unless(data.has("validation"), "without validation rows", early_stopping);
  c.idle_unless(decodes(), "with " + c.said(likelihood), picture_count);
  const uint64_t length = total_steps(*this, rows);
  const math::Milestones milestones = step_plan(*this, rows).learning_rate.milestones;
  for (size_t i = 0; i < learning_rate_milestones.size(); ++i)
    if (milestones.steps[i] >= length)
      c.note("learning-rate-milestones " + format_number(learning_rate_milestones[i]) +
             " has no effect in a training of " + std::to_string(length) + " steps: it is step " +
             std::to_string(milestones.steps[i]));
  return c.notes();
}

std::string to_toml(const Config& config) {
  std::string out;
  for_each_setting(config, [&](const char* key, const auto& value, const auto&, const char*) {
    out += std::string(key) + " = " + toml_of(value) + '\n';
  });
  return out;
}

std::string apply_toml(Config& config, std::string_view text, const std::string& source) {
  return apply(config, TomlSettings(text, source));
}

std::string apply_toml_file(Config& config, const std::filesystem::path& path) {
  return apply(config, toml_file(path));
}

void apply_setting(Config& config, std::string_view key, std::string_view value) {
  set_from_text(config, key, value);
}

std::string apply_settings(Config& config, const SettingTexts& settings) {
  for (const auto& [key, text] : settings) apply_setting(config, key, text);
  return replace_steps(config, settings.contains("epochs"), settings.contains("steps"));
}

DatasetOptions dataset_options(const Config& config) {
  return {.validation_fraction = config.validation_fraction,
          .validation_last = config.validation_split == ValidationSplit::last,
          .seed = static_cast<uint64_t>(config.seed),
          .images = {.size = config.image_size,
                     .channels = config.image_channels,
                     .skip_bad = config.skip_bad,
                     .cache = config.image_cache,
                     .threads = static_cast<int>(config.threads)}};
}

}  // namespace elbo
