// Text from a pattern and values, by libfmt. Not an installed header, and included by no other
// header, so that users of the library need no libfmt.
#pragma once

#include <fmt/core.h>

#include <string>

namespace elbo {

std::string format_values(fmt::string_view pattern, fmt::format_args values);

/// fmt::format, compiled once: each file that instantiates it costs GCC two more seconds.
template <class... T>
std::string formatted(fmt::format_string<T...> pattern, T&&... values) {
  return format_values(pattern, fmt::make_format_args(values...));
}

}  // namespace elbo
