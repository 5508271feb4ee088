#include "host/settings/text.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

#include "host/io/file_error.hpp"
#include "host/io/text.hpp"

namespace elbo {
namespace {

/// Returns true if the whole text is one finite number. An integer that overflows its type becomes
/// the type's maximum (or minimum), which no range contains.
template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (std::is_integral_v<Number> && error == std::errc::result_out_of_range)
    out = text.front() == '-' ? std::numeric_limits<Number>::min()
                              : std::numeric_limits<Number>::max();
  else if (error != std::errc{})
    return false;
  return end == text.data() + text.size() && std::isfinite(static_cast<double>(out));
}

template <class Number>
void read_list(std::string_view key, std::string_view text, std::vector<Number>& out,
               std::string_view expected) {
  const std::string_view all = text;
  out.clear();
  while (!text.empty()) {
    const size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    if (!read_number(word, out.emplace_back(0))) reject_value(key, all, expected);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
}

template <class Number>
std::string text_of_list(const std::vector<Number>& values) {
  std::string text;
  for (const Number value : values) text += (text.empty() ? "" : ",") + text_of(value);
  return text;
}

}  // namespace

void reject_value(std::string_view key, std::string_view got, std::string_view expected) {
  throw ConfigError(std::string(key) + ": got " + in_quotes(got) + ", expected " +
                    std::string(expected));
}

std::string one_of(const std::vector<std::string_view>& names) {
  std::string text = "one of ";
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : ", ") + std::string(names[i]);
  return text;
}

void read_text(std::string_view key, std::string_view text, bool& out) {
  out = text == "true";
  if (!out && text != "false") reject_value(key, text, "true or false");
}
void read_text(std::string_view key, std::string_view text, int64_t& out) {
  if (!read_number(text, out)) reject_value(key, text, "a whole number");
}
void read_text(std::string_view key, std::string_view text, double& out) {
  if (!read_number(text, out)) reject_value(key, text, "a number");
}
void read_text(std::string_view, std::string_view text, std::string& out) { out = text; }
void read_text(std::string_view key, std::string_view text, std::vector<int64_t>& out) {
  read_list(key, text, out, "whole numbers with commas between them, like 512,256");
}
void read_text(std::string_view key, std::string_view text, std::vector<double>& out) {
  read_list(key, text, out, "numbers with commas between them, like 0.5,20");
}

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(int64_t value) { return std::to_string(value); }
std::string text_of(double value) { return format_number(value); }
std::string text_of(const std::string& value) { return value; }
std::string text_of(const std::vector<int64_t>& values) { return text_of_list(values); }
std::string text_of(const std::vector<double>& values) { return text_of_list(values); }

}  // namespace elbo
