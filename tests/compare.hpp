// Comparisons of arrays: bitwise, or within a bound per element. Both reject arrays of different
// sizes, and a NaN never compares equal to a number.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace elbo {

/// Succeeds if `got` and `want` have the same size and are bitwise equal.
template <class T>
testing::AssertionResult same_bits(const std::vector<T>& got, const std::vector<T>& want) {
  if (got.size() != want.size())
    return testing::AssertionFailure()
           << "got " << got.size() << " elements, expected " << want.size();
  for (size_t i = 0; i < got.size(); ++i)
    if (std::memcmp(&got[i], &want[i], sizeof(T)) != 0)
      return testing::AssertionFailure() << "element " << i << " of " << got.size() << ": got "
                                         << testing::PrintToString(got[i]) << ", expected "
                                         << testing::PrintToString(want[i]) << " (bitwise)";
  return testing::AssertionSuccess();
}

/// Succeeds if all elements are finite and |got[i] - want[i]| <= bound[i].
inline testing::AssertionResult within(const std::vector<float>& got,
                                       const std::vector<float>& want,
                                       const std::vector<double>& bound) {
  if (got.size() != want.size() || bound.size() != want.size())
    return testing::AssertionFailure() << "got " << got.size() << " elements, expected "
                                       << want.size() << " (" << bound.size() << " bounds)";
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    if (!(std::isfinite(got[i]) && std::isfinite(want[i]) && difference <= bound[i]))
      return testing::AssertionFailure()
             << "element " << i << " of " << got.size() << ": got " << got[i] << ", expected "
             << want[i] << ", which differ by " << difference << ", bound " << bound[i];
  }
  return testing::AssertionSuccess();
}

/// Returns a bound on the difference of two float sums of the same `count` terms in any order;
/// `magnitude` is the sum of the absolute terms. Each addition rounds independently by at most
/// eps/2 of a partial sum, which is at most `magnitude`. The standard deviation of the difference
/// is therefore eps/2 * magnitude * sqrt(2 * count / 3), and the bound nearly ten times that.
inline double sum_bound(double count, double magnitude) {
  return 4.0 * std::numeric_limits<float>::epsilon() * std::sqrt(count) * magnitude;
}

}  // namespace elbo
