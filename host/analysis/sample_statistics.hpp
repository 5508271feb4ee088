// What rows of numbers say about the distribution they were drawn from.
//
// DataError is thrown if there is no row, a row is not whole or a number is not finite.
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

/// Mean and covariance of rows [n, columns]. The covariance is that of the rows themselves: divided
/// by n, not n - 1.
Moments moments(std::span<const double> rows, size_t columns);

struct KolmogorovSmirnov {
  double statistic = 0.0;  // sup |F_n - Φ|, between 0 and 1
  double p_value = 1.0;    // the probability of as large a one if the rows are N(0, 1)
};

/// Each column of rows [n, columns] against N(0, 1). The p-value takes rows to be independent and
/// many: where it says 0.05, with 100 rows 0.045 is true.
std::vector<KolmogorovSmirnov> kolmogorov_smirnov(std::span<const double> rows, size_t columns);

/// P(sqrt(n) D_n > x) as n grows: 2 sum over k >= 1 of (-1)^(k - 1) exp(-2 k^2 x^2), Kolmogorov's
/// distribution (G. Marsaglia, W. W. Tsang and J. Wang, "Evaluating Kolmogorov's distribution",
/// 2003).
double kolmogorov_tail(double x);

/// The p-value of the smallest of `tests` p-values, whatever their dependence (Bonferroni).
double bonferroni(double p_value, size_t tests);

}  // namespace elbo
