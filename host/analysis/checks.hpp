// What the quantities ask of their arguments. Each complaint names the argument, what was got and
// what is wanted.
#pragma once

#include <span>
#include <string_view>

namespace elbo {

/// Throws DataError unless there are `want` numbers, all of them finite.
void require_numbers(std::string_view what, std::span<const double> got, size_t want);

/// The number of rows of `columns` numbers each. Throws DataError if there is none, one is not
/// whole, or a number is not finite.
size_t require_rows(std::string_view what, std::span<const double> got, size_t columns);

}  // namespace elbo
