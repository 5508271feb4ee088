// The settings as flags of a command: one for each line of the list in host/train/config.hpp.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "host/train/config.hpp"

namespace elbo::cli {

/// The settings that most trainings choose, shown by a plain --help.
bool is_common(std::string_view key);
/// The titles of the groups of settings.
std::vector<std::string> setting_groups();

class SettingFlags {
 public:
  /// Adds the flags of these settings, or of all if none is named. A setting's former key is
  /// accepted as well. A flag of a bool needs no value.
  void add(CLI::App& command, std::initializer_list<std::string_view> keys = {});

  /// Recipe, config file and flags, each over the one before. Throws ConfigError.
  Config resolve(const std::string& config_file);
  /// Sets all that was given. Throws ConfigError.
  void apply(Config& config) { note(apply_settings(config, given())); }

  /// Prints a line, once each, for what resolve() or apply() replaced and for settings that were
  /// given and have no effect on this data set.
  void print_notes(const std::vector<std::string>& idle) const;

  /// What was given, by current keys.
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
