// Options of the commands that are not settings; they are parsed and checked like settings.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "host/settings/settings.hpp"

namespace elbo::cli {

/// Accepts every text except an empty one, which usually comes from an unset shell variable.
struct NotEmpty {};
inline std::string expected(const NotEmpty&, const std::string& value) {
  return value.empty() ? "a name or a path" : "";
}

/// Seeds are parsed as signed integers.
constexpr double kLargestSeed = 9e18;

/// Adds an option "--name" or a positional argument "NAME" that sets `value`. In --help,
/// `placeholder` represents the value, and `value` is shown as the default unless it is empty.
template <class T, class Range>
CLI::Option* add_value(CLI::App& command, const std::string& name, const std::string& placeholder,
                       T& value, const Range& range, const std::string& help) {
  const std::string key = name.starts_with("--") ? name.substr(2) : name;
  CLI::Option* option = command.add_option_function<std::string>(
      name,
      [&value, key, range](const std::string& text) { read_setting(key, text, value, range); },
      help);
  option->type_name(placeholder);
  if constexpr (requires { text_of(value); })
    if (const std::string usual = text_of(value); !usual.empty()) option->default_str(usual);
  return option;
}

/// As above, for a value without a default.
template <class T, class Range>
CLI::Option* add_value(CLI::App& command, const std::string& name, const std::string& placeholder,
                       std::optional<T>& value, const Range& range, const std::string& help) {
  const std::string key = name.substr(2);
  return command
      .add_option_function<std::string>(
          name,
          [&value, key, range](const std::string& text) {
            read_setting(key, text, value.emplace(), range);
          },
          help)
      ->type_name(placeholder);
}

}  // namespace elbo::cli
