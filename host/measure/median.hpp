// The median of some measurements.
#pragma once

#include <algorithm>
#include <vector>

namespace elbo {

/// The upper one of an even number of values; there must be a value.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace elbo
