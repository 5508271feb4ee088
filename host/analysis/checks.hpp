// Checks the arguments of the statistics. Each error names the argument, its value and the accepted
// values.
#pragma once

#include <span>
#include <string_view>

namespace elbo {

/// Throws DataError unless there are `want` numbers, all of them finite.
void require_numbers(std::string_view what, std::span<const double> got, size_t want);

/// Returns the number of rows of `columns` numbers each. Throws DataError if there is no row, the
/// last row is incomplete, or a number is not finite.
size_t require_rows(std::string_view what, std::span<const double> got, size_t columns);

}  // namespace elbo
