// Converts values of settings from and to text, in command-line syntax.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/settings/choice.hpp"

namespace elbo {

/// Throws ConfigError: "key: got 'got', expected EXPECTED".
[[noreturn]] void reject_value(std::string_view key, std::string_view got,
                               std::string_view expected);
/// Returns "one of a, b, c".
std::string one_of(const std::vector<std::string_view>& names);

/// Sets `out` from text; lists are comma-separated numbers. Throws ConfigError.
void read_text(std::string_view key, std::string_view text, bool& out);
void read_text(std::string_view key, std::string_view text, int64_t& out);
void read_text(std::string_view key, std::string_view text, double& out);
void read_text(std::string_view key, std::string_view text, std::string& out);
void read_text(std::string_view key, std::string_view text, std::vector<int64_t>& out);
void read_text(std::string_view key, std::string_view text, std::vector<double>& out);
template <Choosable T>
void read_text(std::string_view key, std::string_view text, T& out) {
  const auto found = Choices<T>::find(text);
  if (!found) reject_value(key, text, one_of(Choices<T>::names()));
  out = *found;
}

/// Returns the text for messages: numbers have up to six digits.
std::string text_of(bool value);
std::string text_of(int64_t value);
std::string text_of(double value);
std::string text_of(const std::string& value);
std::string text_of(const std::vector<int64_t>& values);
std::string text_of(const std::vector<double>& values);
template <Choosable T>
std::string text_of(const T& value) {
  return std::string(name_of(value));
}

}  // namespace elbo
