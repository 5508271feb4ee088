// What the quantities ask of their arguments. Each complaint names the argument, what was got and
// what is wanted.
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <string_view>

#include "kernels/core/error.hpp"

namespace elbo {

/// Throws DataError unless there are `want` numbers, all of them finite.
inline void require_numbers(std::string_view what, std::span<const double> got, size_t want) {
  if (got.size() != want)
    throw DataError(std::string(what) + ": got " + std::to_string(got.size()) + " numbers, want " +
                    std::to_string(want));
  for (size_t i = 0; i < got.size(); ++i)
    if (!std::isfinite(got[i]))
      throw DataError(std::string(what) + ": number " + std::to_string(i) + " is " +
                      std::to_string(got[i]) + ", want finite ones");
}

/// The number of rows of `columns` numbers each. Throws DataError where there is none, one is not
/// whole, or a number is not finite.
inline size_t require_rows(std::string_view what, std::span<const double> got, size_t columns) {
  if (columns == 0 || got.empty() || got.size() % columns != 0)
    throw DataError(std::string(what) + ": got " + std::to_string(got.size()) +
                    " numbers, want one row or more of " + std::to_string(columns));
  require_numbers(what, got, got.size());
  return got.size() / columns;
}

}  // namespace elbo
