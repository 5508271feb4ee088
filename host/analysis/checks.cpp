#include "host/analysis/checks.hpp"

#include <cmath>

#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {

void require_numbers(std::string_view what, std::span<const double> got, size_t want) {
  if (got.size() != want)
    throw DataError(formatted("{}: got {} numbers, expected {}", what, got.size(), want));
  for (size_t i = 0; i < got.size(); ++i)
    if (!std::isfinite(got[i]))
      throw DataError(formatted("{}: number {} is {:f}, expected finite ones", what, i, got[i]));
}

size_t require_rows(std::string_view what, std::span<const double> got, size_t columns) {
  if (columns == 0 || got.empty() || got.size() % columns != 0)
    throw DataError(
        formatted("{}: got {} numbers, expected one row or more of {}", what, got.size(), columns));
  require_numbers(what, got, got.size());
  return got.size() / columns;
}

}  // namespace elbo
