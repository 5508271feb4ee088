// Derivatives by central differences in double, with an error bound for each.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace elbo {

struct FiniteDifference {
  double value;
  double error;
};

/// Returns f'(at) for a smooth f. The error has two parts. Truncation shrinks fourfold from step 2h
/// to step h, so it is below the difference of the two quotients. Rounding is a few ulps of f / h.
template <class F>
FiniteDifference finite_difference(F&& f, double at) {
  const double h = std::cbrt(std::numeric_limits<double>::epsilon()) * std::max(1.0, std::abs(at));
  double largest = 0.0;
  const auto quotient = [&](double step) {
    const double above = f(at + step), below = f(at - step);
    largest = std::max({largest, std::abs(above), std::abs(below)});
    return (above - below) / ((at + step) - (at - step));
  };
  const double value = quotient(h);
  const double truncation = std::abs(quotient(2.0 * h) - value);
  return {value, truncation + 16.0 * std::numeric_limits<double>::epsilon() * (largest + 1.0) / h};
}

}  // namespace elbo
