#include "host/analysis/sample_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "host/analysis/checks.hpp"

namespace elbo {
namespace {

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace

Moments moments(std::span<const double> rows, size_t columns) {
  const size_t n = require_rows("rows", rows, columns);
  const auto count = static_cast<double>(n);
  Moments result{std::vector<double>(columns), std::vector<double>(columns * columns)};
  for (size_t i = 0; i < rows.size(); ++i) result.mean[i % columns] += rows[i] / count;

  // Processes blocks of rows, so that a block and a row of the covariance stay in the caches.
  constexpr size_t kBlock = 64;
  std::vector<double> centred(kBlock * columns);
  for (size_t first = 0; first < n; first += kBlock) {
    const size_t block = std::min(kBlock, n - first);
    for (size_t i = 0; i < block * columns; ++i)
      centred[i] = rows[first * columns + i] - result.mean[i % columns];
    for (size_t a = 0; a < columns; ++a)
      for (size_t r = 0; r < block; ++r) {
        const double* row = &centred[r * columns];
        const double scaled = row[a] / count;
        for (size_t b = 0; b <= a; ++b) result.covariance[a * columns + b] += scaled * row[b];
      }
  }
  for (size_t a = 0; a < columns; ++a)
    for (size_t b = 0; b < a; ++b)
      result.covariance[b * columns + a] = result.covariance[a * columns + b];
  return result;
}

std::vector<KolmogorovSmirnov> kolmogorov_smirnov(std::span<const double> rows, size_t columns) {
  const size_t n = require_rows("rows", rows, columns);
  const auto count = static_cast<double>(n);
  std::vector<KolmogorovSmirnov> result(columns);
  std::vector<double> sorted(n);
  for (size_t column = 0; column < columns; ++column) {
    for (size_t r = 0; r < n; ++r) sorted[r] = rows[r * columns + column];
    std::ranges::sort(sorted);
    // The empirical distribution steps from i / n to (i + 1) / n, so the supremum is on one side of
    // a step.
    double& statistic = result[column].statistic;
    for (size_t i = 0; i < n; ++i) {
      const double cdf = normal_cdf(sorted[i]), step = static_cast<double>(i);
      statistic = std::max({statistic, cdf - step / count, (step + 1.0) / count - cdf});
    }
    result[column].p_value = kolmogorov_tail(std::sqrt(count) * statistic);
  }
  return result;
}

double kolmogorov_tail(double x) {
  if (x <= 0.0) return 1.0;
  // Two series of the same function, each of which converges fast on one side of 1. The terms used
  // here leave an error below 1e-21.
  double sum = 0.0;
  if (x < 1.0) {
    constexpr double kPi = std::numbers::pi;
    for (int k = 1; k <= 5; k += 2) sum += std::exp(-k * k * kPi * kPi / (8.0 * x * x));
    return 1.0 - std::sqrt(2.0 * kPi) / x * sum;
  }
  for (int k = 4; k >= 1; --k) sum += (k % 2 == 1 ? 2.0 : -2.0) * std::exp(-2.0 * k * k * x * x);
  return sum;
}

double bonferroni(double p_value, size_t tests) {
  return std::min(1.0, p_value * static_cast<double>(tests));
}

}  // namespace elbo
