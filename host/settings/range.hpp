// The range of values that a setting accepts. A range describes the accepted values for messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace elbo {

/// Numbers from `low` to `high`; an open end is excluded.
struct Range {
  double low, high;
  bool open_low = false, open_high = false;

  /// Returns the accepted values, for the error about `value`; empty if `value` is in the range.
  std::string expected(long double value) const;  // exact for whole numbers of 64 bits
  /// Returns "between 0 and 1".
  std::string text() const;
  /// expected() omits an upper limit of at least this, unless `value` exceeds the limit.
  static constexpr double kUnlimited = 1e5;
};
struct AtLeast : Range {
  constexpr explicit AtLeast(double least, double most = 1e9) : Range{least, most} {}
};
struct MoreThan : Range {
  constexpr explicit MoreThan(double limit, double most = 1e9) : Range{limit, most, true} {}
};
struct Between : Range {
  constexpr Between(double least, double most) : Range{least, most} {}
};
/// At least `least` and less than `limit`.
struct FromBelow : Range {
  constexpr FromBelow(double least, double limit) : Range{least, limit, false, true} {}
};

/// A list of up to `most_items` numbers, each in `range`.
struct Each {
  Range range;
  size_t most_items = 256;
  std::string text() const;
};
/// A list of up to `most_items` numbers of at least 0, each larger than the previous one.
struct Ascending {
  size_t most_items;
  std::string text() const;
};
/// Every value of the member's type: a name of a list, a text, true or false.
struct Any {
  std::string text() const { return ""; }
};

inline std::string expected(const Range& range, double value) { return range.expected(value); }
inline std::string expected(const Range& range, int64_t value) {
  return range.expected(static_cast<long double>(value));
}
std::string expected(const Each& range, const std::vector<int64_t>& values);
/// Returns the first element outside the range, or the number of elements if there are too many.
std::string offender(const Each& range, const std::vector<int64_t>& values);
std::string expected(const Ascending& range, const std::vector<double>& values);
template <class T>
std::string expected(const Any&, const T&) {
  return "";
}

}  // namespace elbo
