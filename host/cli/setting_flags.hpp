// The settings as flags of a command: one flag per setting of host/train/config.hpp.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "host/train/config.hpp"

namespace elbo::cli {

/// Returns true for the common settings, which a plain --help shows.
bool is_common(std::string_view key);
/// Returns the titles of the groups of settings.
std::vector<std::string> setting_groups();

class SettingFlags {
 public:
  /// Adds the flags of these settings, or of all if `keys` is empty. The former key of a renamed
  /// setting is accepted too. A flag of a bool needs no value.
  void add(CLI::App& command, std::initializer_list<std::string_view> keys = {});

  /// Returns the recipe, overridden by the config file, overridden by the flags. Throws
  /// ConfigError.
  Config resolve(const std::string& config_file);
  /// Sets all given settings. Throws ConfigError.
  void apply(Config& config) { note(apply_settings(config, given())); }

  /// Prints one line for each value that resolve() or apply() replaced, and for each line of
  /// `idle`: given settings that have no effect on this data set.
  void print_notes(const std::vector<std::string>& idle) const;

  /// Returns the given settings, by current keys.
  SettingTexts given() const;
  std::set<std::string> keys() const;

 private:
  void note(const std::string& line) {
    if (!line.empty()) notes_.push_back(line);
  }

  const CLI::App* command_ = nullptr;
  SettingTexts texts_;
  std::vector<std::string> notes_;
};

}  // namespace elbo::cli
