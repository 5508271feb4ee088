// The layout of --help: names on the left, explanations beside them, 80 columns, defaults at the
// end. Commands that accept every setting show only the common ones, or a topic with `--help
// TOPIC`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace elbo::cli {

class HelpFormatter : public CLI::FormatterBase {
 public:
  /// Turns "--help COMMAND" and "help COMMAND" into "COMMAND --help". Removes and remembers the
  /// topic after the --help of a command that accepts all settings: a group of settings, or "all".
  /// Throws ConfigError for any other word.
  void take_topic(const CLI::App& app, std::vector<std::string>& arguments);

  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;

 private:
  std::string topic_;
};

}  // namespace elbo::cli
