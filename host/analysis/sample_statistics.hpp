// Statistics of the distribution from which rows of numbers were drawn.
//
// Functions throw DataError if there is no row, the last row is incomplete, or a number is not
// finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace elbo {

struct Moments {
  std::vector<double> mean;        // [columns]
  std::vector<double> covariance;  // [columns, columns], exactly symmetric
};

/// Returns the mean and covariance of rows [n, columns]. The covariance describes the rows
/// themselves: it is divided by n, not n - 1.
Moments moments(std::span<const double> rows, size_t columns);

struct KolmogorovSmirnov {
  double statistic = 0.0;  // sup |F_n - Φ|, between 0 and 1
  double p_value = 1.0;    // probability of at least this statistic if the rows are N(0, 1)
};

/// Tests each column of rows [n, columns] against N(0, 1). The p-value assumes many independent
/// rows: with 100 rows, a reported 0.05 is truly 0.045.
std::vector<KolmogorovSmirnov> kolmogorov_smirnov(std::span<const double> rows, size_t columns);

/// Returns P(sqrt(n) D_n > x) in the limit of large n: 2 sum over k >= 1 of (-1)^(k - 1) exp(-2 k^2
/// x^2), Kolmogorov's distribution (G. Marsaglia, W. W. Tsang and J. Wang, "Evaluating Kolmogorov's
/// distribution", 2003).
double kolmogorov_tail(double x);

/// Returns the p-value of the smallest of `tests` p-values, regardless of their dependence
/// (Bonferroni).
double bonferroni(double p_value, size_t tests);

}  // namespace elbo
