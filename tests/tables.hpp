// Numbers for tests of information quantities: reproducible draws, distributions made of them, and
// the rounding that a sum of such terms may show.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "kernels/core/error.hpp"

namespace elbo {

using Doubles = std::vector<double>;

class Draws {
 public:
  explicit Draws(unsigned seed) : engine_(seed) {}
  /// Uniform in (low, high). The same everywhere, unlike the standard library's distributions.
  double uniform(double low, double high) {
    return low + (high - low) * (static_cast<double>(engine_()) + 0.5) * 0x1p-32;
  }
  /// Standard normal (Box and Muller 1958).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(uniform(0.0, 1.0)));
    return radius * std::cos(uniform(0.0, 2.0 * std::numbers::pi));
  }
  Doubles normals(size_t count) {
    Doubles values(count);
    for (double& value : values) value = normal();
    return values;
  }
  /// Probabilities, none of them less than 1 / (20 count).
  Doubles probabilities(size_t count) {
    Doubles p(count);
    double sum = 0.0;
    for (double& each : p) sum += each = uniform(0.05, 1.0);
    for (double& each : p) each /= sum;
    return p;
  }

 private:
  std::mt19937 engine_;
};

/// Expects `got` to equal `want` but for rounding in `terms` terms of magnitude up to `largest`:
/// each a few operations and functions, wrong by an ulp at most, and added to sums no larger.
inline void expect_equal(double got, double want, size_t terms, double largest) {
  const double bound =
      8.0 * std::numeric_limits<double>::epsilon() * static_cast<double>(terms) * largest;
  EXPECT_NEAR(got, want, bound);
}

/// Expects that `act` throws a DataError that contains `words`.
template <class Act>
void expect_data_error(Act&& act, const std::string& words) {
  try {
    act();
    ADD_FAILURE() << "no error; expected '" << words << "'";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos)
        << "'" << words << "' not in: " << error.what();
  }
}

}  // namespace elbo
