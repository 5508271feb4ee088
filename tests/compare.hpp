// Comparing arrays: to the bit, or within a bound given for each element. Both reject other sizes,
// and neither lets a NaN pass for a number.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace elbo {

/// Whether `got` and `want` hold the same bytes.
template <class T>
testing::AssertionResult same_bits(const std::vector<T>& got, const std::vector<T>& want) {
  if (got.size() != want.size())
    return testing::AssertionFailure()
           << "got " << got.size() << " elements, expected " << want.size();
  for (size_t i = 0; i < got.size(); ++i)
    if (std::memcmp(&got[i], &want[i], sizeof(T)) != 0)
      return testing::AssertionFailure() << "element " << i << " of " << got.size() << ": got "
                                         << testing::PrintToString(got[i]) << ", expected "
                                         << testing::PrintToString(want[i]) << ", to the bit";
  return testing::AssertionSuccess();
}

/// Whether |got[i] - want[i]| <= bound[i], all of them finite.
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

/// How far two float sums of the same `count` terms may lie apart, given the sum of their
/// magnitudes. Each addition rounds by at most eps/2 of a partial sum no larger than `magnitude`,
/// independently, in either sum: standard deviation eps/2 * magnitude * sqrt(2 * count / 3), of
/// which this is nearly ten.
inline double sum_bound(double count, double magnitude) {
  return 4.0 * std::numeric_limits<float>::epsilon() * std::sqrt(count) * magnitude;
}

}  // namespace elbo
