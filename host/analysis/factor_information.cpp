#include "host/analysis/factor_information.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "host/analysis/checks.hpp"
#include "host/analysis/discrete.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double entropy_of_groups(std::span<const int32_t> groups) {
  std::vector<double> frequencies(static_cast<size_t>(std::ranges::max(groups)) + 1);
  for (const int32_t group : groups) ++frequencies[static_cast<size_t>(group)];
  for (double& frequency : frequencies) frequency /= static_cast<double>(groups.size());
  return entropy(frequencies);
}

/// Computes the mutual information gap of each factor, from I / H [latent, factors].
void find_gaps(FactorInformation& result, size_t latent) {
  const size_t factors = result.factors;
  size_t varying = 0;
  for (size_t k = 0; k < factors; ++k) {
    double most = 0.0, second = 0.0;
    size_t where = 0;
    for (size_t j = 0; j < latent; ++j) {
      const double value = result.normalized[j * factors + k];
      if (value > most)
        second = most, most = value, where = j;
      else if (value > second)
        second = value;
    }
    const bool varies = result.entropy[k] > 0.0;
    result.likeliest_latent.push_back(where);
    result.gap.push_back(varies ? most - second : kNone);
    if (varies) result.mean_gap += most - second, ++varying;
  }
  result.mean_gap = varying == 0 ? kNone : result.mean_gap / static_cast<double>(varying);
}

}  // namespace

std::vector<int32_t> bin_factor(std::span<const float> values) {
  constexpr size_t kBins = 20;
  std::vector<float> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  std::vector<float> distinct = sorted;
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  if (distinct.size() > kBins) {  // keep only the first value of each group
    std::vector<float> first;
    for (size_t bin = 0; bin < kBins; ++bin) first.push_back(sorted[bin * sorted.size() / kBins]);
    first.erase(std::unique(first.begin(), first.end()), first.end());
    distinct = std::move(first);
  }
  std::vector<int32_t> groups;
  groups.reserve(values.size());
  for (const float value : values) {
    const auto after = std::ranges::upper_bound(distinct, value);
    groups.push_back(static_cast<int32_t>(after - distinct.begin()) - 1);
  }
  return groups;
}

FactorInformation factor_information(const PosteriorRows& q, const CodeDraws& draws,
                                     std::span<const float> factors, size_t columns, int threads) {
  const size_t rows = q.rows(), latent = q.latent, count = draws.rows.size();
  const std::vector<double> checked(factors.begin(), factors.end());
  if (require_rows("factors", checked, columns) != rows)
    throw DataError(formatted("factors: got {} rows, expected {}, one for each code",
                              factors.size() / columns, rows));
  std::vector<std::vector<int32_t>> groups(columns);
  std::vector<float> column(rows);
  FactorInformation result;
  result.factors = columns;
  for (size_t k = 0; k < columns; ++k) {
    for (size_t i = 0; i < rows; ++i) column[i] = factors[i * columns + k];
    groups[k] = bin_factor(column);
    result.bins.push_back(std::ranges::max(groups[k]) + 1);
    result.entropy.push_back(entropy_of_groups(groups[k]));
  }

  const MixtureDensities log_q = mixture_densities(q, draws, groups, threads);
  result.information.resize(latent * columns);
  for (size_t at = 0; at < log_q.conditional.size(); ++at)
    result.information[at % (latent * columns)] +=
        (log_q.conditional[at] - log_q.marginal[at / columns]) / static_cast<double>(count);
  for (size_t at = 0; at < result.information.size(); ++at) {
    const double entropy = result.entropy[at % columns];
    result.normalized.push_back(entropy > 0.0 ? result.information[at] / entropy : kNone);
  }
  find_gaps(result, latent);
  return result;
}

}  // namespace elbo
