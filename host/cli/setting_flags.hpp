// The settings as flags of a command: one for each line of the list in host/train/config.hpp.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "host/train/config.hpp"

namespace elbo::cli {

/// What was given of them, as text. A bool's flag needs no value.
class SettingFlags {
 public:
  /// Adds the flags of these settings, or of all where none is named.
  void add(CLI::App& command, std::initializer_list<std::string_view> keys = {});

  bool has(const CLI::App& command, const std::string& key) const {
    return given_.contains(key) && command.count("--" + key) > 0;
  }
  /// Recipe, config file and flags, each over the one before. Throws ConfigError.
  Config resolve(const CLI::App& command, const std::string& config_file) const;
  /// Sets what was given, but not the recipe. Throws ConfigError.
  void apply(const CLI::App& command, Config& config) const;

 private:
  std::map<std::string, std::string> given_;
};

}  // namespace elbo::cli
