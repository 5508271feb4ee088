// Every setting of a training run: the groups of its parts, and the name of a recipe. The list of
// settings defines the flags of the command line, the keys of the config file, the resolved config
// of a run, and docs/settings.md.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "host/data/data_settings.hpp"
#include "host/model/model_settings.hpp"
#include "host/train/training_settings.hpp"

namespace elbo {

struct RecipeSettings {
  static constexpr std::string_view title = "recipe";
  std::string recipe = "vae";
  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("recipe", s.recipe, Any{}, "named set of settings to start from (see `elbo list recipes`)");
  }
  bool operator==(const RecipeSettings&) const = default;
};

struct Config : Settings<RecipeSettings, ModelSettings, DataSettings, TrainingSettings,
                         UpdateSettings, RunSettings> {
  bool operator==(const Config&) const = default;

  /// Throws ConfigError for the first setting out of its range or, if there is none, for the first
  /// contradiction, with advice.
  void check() const;
  /// Returns one line for each given setting that has no effect, given the other settings and this
  /// data set: "mse-variance 2 has no effect with likelihood bernoulli". A setting counts as given
  /// if it is in `given` or differs from `start` (the recipe, or the run that is resumed). Throws
  /// ConfigError as check() does, and for an image-size or image-channels that the data set does
  /// not support.
  std::vector<std::string> idle(const Dataset& data, const Config& start,
                                const std::set<std::string>& given = {}) const;

 private:
  void check(Combination& combination) const;
};

/// Returns the settings as TOML, with every key, in order.
std::string to_toml(const Config& config);

/// Sets the keys of a TOML text; `source` names the text in errors. A `recipe` key is applied
/// first. If the text sets epochs but not steps, steps that were set before are reset to 0, and the
/// returned line says so; otherwise the result is empty. Throws ConfigError for syntax errors,
/// unknown keys and wrong types.
std::string apply_toml(Config& config, std::string_view text, const std::string& source);
std::string apply_toml_file(Config& config, const std::filesystem::path& path);

/// Sets one key from text in command-line syntax. Throws ConfigError.
void apply_setting(Config& config, std::string_view key, std::string_view value);

/// Settings by key, as text.
using SettingTexts = std::map<std::string, std::string>;
/// Sets all of these, which come from one source. Returns a line as apply_toml does. Throws
/// ConfigError.
std::string apply_settings(Config& config, const SettingTexts& settings);

/// Returns the options with which the settings load and split a data set.
DatasetOptions dataset_options(const Config& config);

}  // namespace elbo
