// How --help looks: names on the left, explanations beside them, 80 columns, defaults at the end.
// A command that takes every setting shows the common ones, or those of a topic: `--help TOPIC`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace elbo::cli {

class HelpFormatter : public CLI::FormatterBase {
 public:
  /// Makes "COMMAND --help" of "--help COMMAND" and "help COMMAND". Removes the word after the
  /// --help of a command that takes all settings: a group of settings, or "all". Throws ConfigError
  /// for another word.
  void take_topic(const CLI::App& app, std::vector<std::string>& arguments);

  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;

 private:
  std::string topic_;
};

}  // namespace elbo::cli
