#include "host/io/file_error.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include "kernels/core/error.hpp"

namespace elbo {

void fail_file(const std::filesystem::path& path, const std::string& what) {
  throw DataError(in_one_line(path.string() + ": " + what));
}

void fail_system(const std::filesystem::path& path, std::string_view action, int error) {
  fail_file(path, "cannot " + std::string(action) + ": " + std::generic_category().message(error));
}

std::string in_one_line(std::string text) {
  const auto is_control = [](char c) { return (c >= '\0' && c < ' ') || c == '\x7f'; };
  std::ranges::replace_if(text, is_control, '?');
  return text;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string result = "'";
  for (char c : text.substr(0, kLongest)) result += (c >= ' ' && c <= '~') ? c : '?';
  if (text.size() > kLongest) result += "...";
  return result + "'";
}

}  // namespace elbo
