// Text made of a pattern and values by libfmt. No part of the installed headers, and included by no
// other header: who uses the library needs no libfmt.
#pragma once

#include <fmt/core.h>

#include <string>

namespace elbo {

std::string format_values(fmt::string_view pattern, fmt::format_args values);

/// fmt::format, its code compiled once: each file that instantiates it takes GCC two seconds more.
template <class... T>
std::string formatted(fmt::format_string<T...> pattern, T&&... values) {
  return format_values(pattern, fmt::make_format_args(values...));
}

}  // namespace elbo
