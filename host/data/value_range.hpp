// One pass over a table's values: their range, and a check that all are finite.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/core/dtype.hpp"

namespace elbo {

struct ValueRange {
  double minimum;
  double maximum;
};

/// The range of `values` [rows, dim], rows * dim > 0. Throws DataError "SOURCE: row R, element E
/// is nan" for the first value that is NaN or infinite.
ValueRange find_value_range(const void* values, DType dtype, std::int64_t rows, std::int64_t dim,
                            const std::string& source);

}  // namespace elbo
