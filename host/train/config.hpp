// Every setting of a training run: the groups of its parts, and a recipe's name. The list of
// settings makes the command line's flags, the config file's keys, the resolved config of a run and
// docs/settings.md.
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

  /// Throws ConfigError for the first setting out of its range, or else the first two that
  /// contradict each other, with what would fit.
  void check() const;
  /// One line for each setting that was given and has no effect, together with the others or on
  /// this data set: "mse-variance 2 has no effect with likelihood bernoulli". Settings count as
  /// given if they are in `given` or differ from `start`: the recipe, or the run that is resumed.
  /// Throws ConfigError as check() does, and for an image-size or image-channels that the data set
  /// cannot follow.
  std::vector<std::string> idle(const Dataset& data, const Config& start,
                                const std::set<std::string>& given = {}) const;

 private:
  void check(Combination& combination) const;
};

/// The settings as TOML, every key present, in order.
std::string to_toml(const Config& config);

/// Sets the keys given in TOML text; `source` names it in errors. A `recipe` key is applied first.
/// Epochs without steps replace steps that were set before: returns a line that says so, otherwise
/// an empty text. Throws ConfigError for syntax errors, unknown keys and wrong types.
std::string apply_toml(Config& config, std::string_view text, const std::string& source);
std::string apply_toml_file(Config& config, const std::filesystem::path& path);

/// Sets one key from text as on the command line. Throws ConfigError.
void apply_setting(Config& config, std::string_view key, std::string_view value);

/// Settings by key, as text.
using SettingTexts = std::map<std::string, std::string>;
/// Sets all of these, of one source; returns a line as apply_toml does. Throws ConfigError.
std::string apply_settings(Config& config, const SettingTexts& settings);

/// How the settings divide a data set.
DatasetOptions dataset_options(const Config& config);

}  // namespace elbo
