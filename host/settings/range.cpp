#include "host/settings/range.hpp"

#include <algorithm>

#include "host/io/text.hpp"

namespace elbo {

std::string Range::text() const {
  const std::string from = (open_low ? "more than " : "at least ") + format_number(low);
  if (open_high) return from + " and less than " + format_number(high);
  if (high >= kUnlimited) return from;
  if (open_low) return from + ", at most " + format_number(high);
  return "between " + format_number(low) + " and " + format_number(high);
}

std::string Range::expected(double value) const {
  if (open_low ? !(value > low) : !(value >= low)) return text();
  if (open_high ? value < high : value <= high) return "";
  return high >= kUnlimited ? "at most " + format_number(high) : text();
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
