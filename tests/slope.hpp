// The slope of a loss of many weights along one direction, by differences, with a bound on its
// error.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "host/nn/parameters.hpp"
#include "tests/finite_difference.hpp"
#include "tests/workspace.hpp"

namespace elbo {

/// The 2-norm of a parameter's part of the gradient.
inline double gradient_norm(const std::vector<float>& gradient, const Parameter& p) {
  double squares = 0.0;
  for (int64_t i = p.offset; i < p.offset + p.count(); ++i)
    squares += std::pow(gradient[static_cast<size_t>(i)], 2.0);
  return std::sqrt(squares);
}

/// A direction of length 1 within one parameter, and the gradient's component along it.
struct ProbedDirection {
  std::vector<double> direction;
  double expected = 0.0;
};

/// Half along the gradient, so that the slope is never small; half in a random direction.
inline ProbedDirection probe_direction(const std::vector<float>& gradient, const Parameter& p,
                                       unsigned seed) {
  const double norm = gradient_norm(gradient, p);
  const std::vector<float> random =
      uniform_floats(static_cast<size_t>(p.count()), -1.0f, 1.0f, seed);
  ProbedDirection probe{std::vector<double>(gradient.size())};
  double squares = 0.0;
  for (int64_t i = 0; i < p.count(); ++i) {
    const auto at = static_cast<size_t>(p.offset + i);
    probe.direction[at] = gradient[at] / norm + random[static_cast<size_t>(i)] /
                                                    std::sqrt(static_cast<double>(p.count()));
    squares += probe.direction[at] * probe.direction[at];
  }
  for (size_t i = 0; i < gradient.size(); ++i) {
    probe.direction[i] /= std::sqrt(squares);
    probe.expected += probe.direction[i] * gradient[i];
  }
  return probe;
}

/// The quotient of loss_at(weights) along `direction`, with five points and hence an error of order
/// h^4, and the bound of rounding and that error.
template <class Loss>
FiniteDifference slope_along(const std::vector<float>& weights,
                             const std::vector<double>& direction, Loss&& loss_at) {
  constexpr double kStep = 0.02;
  double largest = 0.0;
  const auto loss = [&](double step) {
    std::vector<float> moved = weights;
    for (size_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<float>(step * direction[i]);
    const double value = loss_at(moved);
    largest = std::max(largest, std::abs(value));
    return value;
  };
  const auto quotient = [&](double h) {
    return (8.0 * (loss(h) - loss(-h)) - (loss(2.0 * h) - loss(-2.0 * h))) / (12.0 * h);
  };
  const double value = quotient(kStep), coarse = quotient(2.0 * kStep);
  // The loss of the batch is a sum of some hundred roundings, in float: 16 epsilons of it.
  const double rounding = 16.0 * std::numeric_limits<float>::epsilon() * (largest + 1.0) / kStep;
  return {value, std::abs(coarse - value) + rounding};
}

}  // namespace elbo
