#include "host/analysis/discrete.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "host/analysis/checks.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

void require_probabilities(std::string_view what, std::span<const double> p) {
  require_numbers(what, p, p.size());
  double sum = 0.0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] < 0.0)
      throw DataError(formatted("{}: probability {} is {:f}, expected at least 0", what, i, p[i]));
    sum += p[i];
  }
  // Rounding all probabilities to floats changes the sum by at most half of this.
  constexpr double kTolerance = std::numeric_limits<float>::epsilon();
  if (!(std::abs(sum - 1.0) <= kTolerance))
    throw DataError(formatted("{}: the probabilities' sum is {:f}, expected 1", what, sum));
}

/// Returns p log(p / q); takes two logarithms because p / q of small probabilities may overflow or
/// vanish.
double divergence_term(double p, double q) {
  if (p == 0.0) return 0.0;
  if (q == 0.0) return std::numeric_limits<double>::infinity();
  return p * (std::log(p) - std::log(q));
}

}  // namespace

double entropy(std::span<const double> p) {
  require_probabilities("p", p);
  double sum = 0.0;
  for (const double each : p) sum -= each == 0.0 ? 0.0 : each * std::log(each);
  return sum;
}

double kl_divergence(std::span<const double> p, std::span<const double> q) {
  if (p.size() != q.size())
    throw DataError(
        formatted("q: got {} probabilities, expected {}, as many as p has", q.size(), p.size()));
  require_probabilities("p", p);
  require_probabilities("q", q);
  double sum = 0.0;
  for (size_t i = 0; i < p.size(); ++i) sum += divergence_term(p[i], q[i]);
  return sum;
}

double mutual_information(std::span<const double> joint, size_t columns) {
  const size_t rows = require_rows("joint", joint, columns);
  require_probabilities("joint", joint);
  std::vector<double> x(rows), y(columns);
  for (size_t i = 0; i < joint.size(); ++i) x[i / columns] += joint[i], y[i % columns] += joint[i];
  // If a joint probability is positive, so are both marginals, which are at least as large. Their
  // product could still underflow to 0, but their logarithms cannot.
  double sum = 0.0;
  for (size_t i = 0; i < joint.size(); ++i)
    if (joint[i] > 0.0)
      sum += joint[i] * (std::log(joint[i]) - std::log(x[i / columns]) - std::log(y[i % columns]));
  return sum;
}

}  // namespace elbo
