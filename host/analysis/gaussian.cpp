#include "host/analysis/gaussian.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "host/analysis/checks.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
const double kLogTwoPiE = std::log(2.0 * std::numbers::pi * std::numbers::e);

/// Lower triangle L [d, d] with S = L L^T. `broken_at` is the first dimension whose variance, given
/// the previous dimensions, is not positive; d if there is none. Later dimensions are not computed.
struct Cholesky {
  std::vector<double> lower;
  size_t broken_at;

  /// Returns log det S; requires broken_at = d.
  double log_determinant() const {
    double sum = 0.0;
    for (size_t i = 0; i < broken_at; ++i) sum += 2.0 * std::log(lower[i * broken_at + i]);
    return sum;
  }
};

void require_symmetric(std::string_view what, std::span<const double> s, size_t d) {
  require_numbers(what, s, d * d);
  // A product that is mathematically symmetric differs only by rounding; if half of the digits
  // differ, the matrix is not symmetric.
  const double tolerance = std::sqrt(kEpsilon);
  for (size_t i = 0; i < d; ++i)
    for (size_t j = 0; j < i; ++j) {
      const double size = std::sqrt(std::abs(s[i * d + i])) * std::sqrt(std::abs(s[j * d + j]));
      if (!(std::abs(s[i * d + j] - s[j * d + i]) <= tolerance * size))
        throw DataError(
            formatted("{}: not symmetric: element ({}, {}) is {:f}, its mirror image {:f}", what, i,
                      j, s[i * d + j], s[j * d + i]));
    }
}

/// Returns a bound of the rounding error of the variance of dimension i given the previous
/// dimensions, whose factors are in rows 0 .. i of `lower`. It is the variance of v^T z, if v
/// subtracts from z_i its regression on the other dimensions. If the elements of S are known to
/// within c sqrt(s_jj s_kk), the variance is known to within c (sum |v_j| sqrt(s_jj))^2.
double variance_rounding(std::span<const double> s, const std::vector<double>& lower, size_t i,
                         size_t d) {
  // The computed factors are exact for a matrix whose elements differ by (d + 1) ε/2 of this size
  // (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, theorem 10.3). The elements of
  // S are sums of about d products, which have an error of d ε/2 themselves.
  const double c = static_cast<double>(d + 1) * kEpsilon;
  std::vector<double> rest(lower.begin() + static_cast<std::ptrdiff_t>(i * d),
                           lower.begin() + static_cast<std::ptrdiff_t>(i * d + i));
  double sum = std::sqrt(std::abs(s[i * d + i]));
  for (size_t k = i; k-- > 0;) {  // solves L^T v = row i of L by back substitution
    const double v = rest[k] / lower[k * d + k];
    sum += std::abs(v) * std::sqrt(s[k * d + k]);
    for (size_t j = 0; j < k; ++j) rest[j] -= lower[k * d + j] * v;
  }
  return c * sum * sum;
}

Cholesky factor(std::span<const double> s, size_t d) {
  Cholesky result{std::vector<double>(d * d), d};
  std::vector<double>& lower = result.lower;
  for (size_t i = 0; i < d; ++i)
    for (size_t j = 0; j <= i; ++j) {
      double rest = s[i * d + j];
      for (size_t k = 0; k < j; ++k) rest -= lower[i * d + k] * lower[j * d + k];
      if (j < i) {
        lower[i * d + j] = rest / lower[j * d + j];
        continue;
      }
      // A value that could be the rounding error of 0 or of a negative number is not positive.
      if (!(rest > variance_rounding(s, lower, i, d))) {
        result.broken_at = i;
        return result;
      }
      lower[i * d + i] = std::sqrt(rest);
    }
  return result;
}

void require_sizes(const DiagonalGaussian& p) {
  require_numbers("mean", p.mean, p.mean.size());
  require_numbers("log-variance", p.log_variance, p.mean.size());
}

Cholesky require_covariance(const FullGaussian& p) {
  const size_t d = p.mean.size();
  require_numbers("mean", p.mean, d);
  require_symmetric("covariance", p.covariance, d);
  Cholesky result = factor(p.covariance, d);
  if (result.broken_at < d)
    throw DataError(
        formatted("covariance: not positive definite: dimension {} has no positive variance{}",
                  result.broken_at, result.broken_at == 0 ? "" : ", given the previous ones"));
  return result;
}

void require_equal_dimensions(size_t p, size_t q) {
  if (p != q)
    throw DataError(formatted("mean: got {} dimensions of q, expected {}, as many as p has", q, p));
}

/// Overwrites rows [d, columns] with L^-1 rows, and returns the sum of squares of the result.
double solved_squares(const std::vector<double>& lower, std::vector<double>& rows, size_t d) {
  const size_t columns = rows.size() / d;
  double sum = 0.0;
  for (size_t i = 0; i < d; ++i) {
    double* row = &rows[i * columns];
    for (size_t k = 0; k < i; ++k)
      for (size_t c = 0; c < columns; ++c) row[c] -= lower[i * d + k] * rows[k * columns + c];
    for (size_t c = 0; c < columns; ++c) {
      row[c] /= lower[i * d + i];
      sum += row[c] * row[c];
    }
  }
  return sum;
}

}  // namespace

double entropy(const DiagonalGaussian& p) {
  require_sizes(p);
  double sum = 0.0;
  for (const double log_variance : p.log_variance) sum += 0.5 * (kLogTwoPiE + log_variance);
  return sum;
}

double kl_divergence(const DiagonalGaussian& p, const DiagonalGaussian& q) {
  require_sizes(p);
  require_sizes(q);
  require_equal_dimensions(p.mean.size(), q.mean.size());
  double sum = 0.0;
  for (size_t i = 0; i < p.mean.size(); ++i) {
    // The divergence is invariant under shifting and scaling both such that q becomes N(0, 1).
    const double distance = (p.mean[i] - q.mean[i]) * std::exp(-0.5 * q.log_variance[i]);
    sum += standard_normal_kl(distance, p.log_variance[i] - q.log_variance[i]);
  }
  return sum;
}

double standard_normal_kl(double mean, double log_variance) {
  // expm1 keeps the digits that variance - 1 would cancel near the prior.
  return 0.5 * (mean * mean + (std::expm1(log_variance) - log_variance));
}

double entropy(const FullGaussian& p) {
  const Cholesky s = require_covariance(p);
  return 0.5 * (static_cast<double>(p.mean.size()) * kLogTwoPiE + s.log_determinant());
}

double kl_divergence(const FullGaussian& p, const FullGaussian& q) {
  require_equal_dimensions(p.mean.size(), q.mean.size());
  const size_t d = p.mean.size();
  const Cholesky s_p = require_covariance(p), s_q = require_covariance(q);
  if (d == 0) return 0.0;
  std::vector<double> difference(d);
  for (size_t i = 0; i < d; ++i) difference[i] = q.mean[i] - p.mean[i];
  // tr(S_q^-1 S_p) is the squared norm of L_q^-1 L_p.
  std::vector<double> relative = s_p.lower;
  return 0.5 *
         (solved_squares(s_q.lower, relative, d) - static_cast<double>(d) +
          solved_squares(s_q.lower, difference, d) + s_q.log_determinant() - s_p.log_determinant());
}

bool is_positive_definite(std::span<const double> matrix, size_t d) {
  require_symmetric("matrix", matrix, d);
  return factor(matrix, d).broken_at == d;
}

}  // namespace elbo
