#include "host/settings/range.hpp"

#include <algorithm>
#include <cmath>

#include "host/io/text.hpp"

namespace elbo {

namespace {

/// Prints integral limits with all of their digits.
std::string limit(double value) {
  constexpr double kLongest = 9.2e18;  // of 64 bits
  return value == std::floor(value) && std::abs(value) <= kLongest
             ? std::to_string(static_cast<int64_t>(value))
             : format_number(value);
}

std::string lower(const Range& range) {
  return (range.open_low ? "more than " : "at least ") + limit(range.low);
}

}  // namespace

std::string Range::text() const {
  if (open_high) return lower(*this) + " and less than " + limit(high);
  if (open_low) return lower(*this) + ", at most " + limit(high);
  return "between " + limit(low) + " and " + limit(high);
}

std::string Range::expected(long double value) const {
  const bool high_enough = open_low ? value > low : value >= low;
  const bool low_enough = open_high ? value < high : value <= high;
  if (high_enough && low_enough) return "";
  if (high < kUnlimited) return text();
  return high_enough ? "at most " + limit(high) : lower(*this);
}

std::string Each::text() const {
  return "up to " + std::to_string(most_items) + " numbers, each " + range.text();
}

std::string Ascending::text() const {
  return "at most " + std::to_string(most_items) +
         " numbers of at least 0, each larger than the one before";
}

std::string expected(const Each& range, const std::vector<int64_t>& values) {
  if (values.size() > range.most_items)
    return "at most " + std::to_string(range.most_items) + " numbers";
  for (const int64_t value : values)
    if (const std::string text = expected(range.range, value); !text.empty())
      return "numbers of " + text;
  return "";
}

std::string offender(const Each& range, const std::vector<int64_t>& values) {
  for (const int64_t value : values)
    if (values.size() <= range.most_items && !expected(range.range, value).empty())
      return std::to_string(value);
  return std::to_string(values.size()) + " numbers";
}

std::string expected(const Ascending& range, const std::vector<double>& values) {
  const bool allowed = values.size() <= range.most_items &&
                       std::ranges::is_sorted(values, std::ranges::less_equal{}) &&
                       (values.empty() || values.front() >= 0.0);
  return allowed ? "" : range.text();
}

}  // namespace elbo
