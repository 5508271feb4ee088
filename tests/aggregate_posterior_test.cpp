// Compares the aggregate posterior with closed forms, numerical integration and plain sums.
#include "host/analysis/aggregate_posterior.hpp"

#include <algorithm>
#include <functional>

#include "host/analysis/gaussian.hpp"
#include "tests/tables.hpp"

namespace elbo {
namespace {

// The mean of normal draws deviates by more than this many standard errors about once in 10^6.
constexpr double kErrors = 5.0;
// Exponentials are accurate to 1e-14, and so are the logarithms of their sums.
constexpr double kRounding = 1e-12;

PosteriorRows random_posteriors(size_t rows, size_t latent, unsigned seed) {
  Draws draws(seed);
  PosteriorRows q{draws.normals(rows * latent), {}, latent};
  for (size_t i = 0; i < rows * latent; ++i) q.log_variance.push_back(draws.uniform(-3.0, 0.5));
  return q;
}

/// Draws `times` codes from each row's posterior; draw_codes draws only one.
CodeDraws draw_often(const PosteriorRows& q, size_t times, unsigned seed) {
  Draws noise(seed);
  CodeDraws draws;
  for (size_t row = 0; row < q.rows(); ++row)
    for (size_t t = 0; t < times; ++t) {
      draws.rows.push_back(row);
      for (size_t at = row * q.latent; at < (row + 1) * q.latent; ++at)
        draws.z.push_back(q.mean[at] + std::exp(0.5 * q.log_variance[at]) * noise.normal());
    }
  return draws;
}

/// Returns the variance of log q(z|x) - log p(z) for z drawn from the row's posterior. In each
/// dimension the log-ratio is a constant plus m s e + (s^2 - 1) e^2 / 2, with standard normal e.
double ratio_variance(const PosteriorRows& q, size_t row) {
  double sum = 0.0;
  for (size_t at = row * q.latent; at < (row + 1) * q.latent; ++at) {
    const double variance = std::exp(q.log_variance[at]);
    sum += q.mean[at] * q.mean[at] * variance + 0.5 * (variance - 1.0) * (variance - 1.0);
  }
  return sum;
}

double log_normal(double z, double mean, double log_variance) {
  const double square = (z - mean) * (z - mean) * std::exp(-log_variance);
  return -0.5 * (std::log(2.0 * std::numbers::pi) + log_variance + square);
}

double log_sum(const Doubles& terms) {
  const double largest = std::ranges::max(terms);
  double sum = 0.0;
  for (const double term : terms) sum += std::exp(term - largest);
  return largest + std::log(sum);
}

TEST(MixtureDensity, EqualsTheSumOverRows) {
  // More than one tile of rows and one block of draws, with a partial last tile and block.
  const PosteriorRows q = random_posteriors(301, 3, 1);
  const CodeDraws draws = draw_codes(q, 40);
  ASSERT_EQ(draws.rows.size(), 40u);
  std::vector<std::vector<int32_t>> groups(2, std::vector<int32_t>(301));
  for (int32_t row = 0; row < 301; ++row)
    groups[0][static_cast<size_t>(row)] = row % 2, groups[1][static_cast<size_t>(row)] = row / 100;
  const MixtureDensities got = mixture_densities(q, draws, groups);
  for (size_t m = 0; m < 40; ++m) {
    const size_t own = draws.rows[m];
    Doubles joint(301);
    for (size_t j = 0; j < 3; ++j) {
      const double z = draws.z[m * 3 + j];
      Doubles marginal, grouped[2];
      for (size_t row = 0; row < 301; ++row) {
        const double term = log_normal(z, q.mean[row * 3 + j], q.log_variance[row * 3 + j]);
        joint[row] += term;
        marginal.push_back(term);
        for (size_t k = 0; k < 2; ++k)
          if (groups[k][row] == groups[k][own]) grouped[k].push_back(term);
      }
      EXPECT_NEAR(got.own[m * 3 + j], marginal[own], kRounding);
      EXPECT_NEAR(got.marginal[m * 3 + j], log_sum(marginal) - std::log(301.0), kRounding);
      for (size_t k = 0; k < 2; ++k) {
        const auto size = static_cast<double>(grouped[k].size());
        EXPECT_NEAR(got.conditional[(m * 3 + j) * 2 + k], log_sum(grouped[k]) - std::log(size),
                    kRounding);
      }
    }
    EXPECT_NEAR(got.joint[m], log_sum(joint) - std::log(301.0), kRounding);
  }
}

TEST(CodeDraws, SelectRowsEvenlyWithFixedNoise) {
  const PosteriorRows q = random_posteriors(50, 5, 2);
  const CodeDraws all = draw_codes(q, 1000), some = draw_codes(q, 5);
  ASSERT_EQ(all.rows.size(), 50u);
  EXPECT_EQ(some.rows, (std::vector<size_t>{0, 10, 20, 30, 40}));
  for (size_t m = 0; m < 5; ++m)
    for (size_t j = 0; j < 5; ++j) EXPECT_EQ(some.z[m * 5 + j], all.z[some.rows[m] * 5 + j]);
}

TEST(AggregatePosterior, EqualsThePosteriorThatAllRowsShare) {
  constexpr size_t kRows = 1000, kLatent = 3;
  const double mean = 0.7, variance = 0.25;
  PosteriorRows q{Doubles(kRows * kLatent, mean), Doubles(kRows * kLatent, std::log(variance)),
                  kLatent};
  const AggregatePosterior got = aggregate_posterior(q, draw_codes(q, kRows));
  EXPECT_EQ(got.draws, kRows);
  EXPECT_NEAR(got.mutual_information.value, 0.0, kRounding);
  EXPECT_NEAR(got.mutual_information.standard_error, 0.0, kRounding);
  EXPECT_NEAR(got.total_correlation.value, 0.0, kRounding);
  EXPECT_FALSE(is_saturated(got));
  const double kl = standard_normal_kl(mean, std::log(variance));
  const double error = std::sqrt(ratio_variance(q, 0) / kRows);
  EXPECT_NEAR(got.prior_kl.value, kLatent * kl, kErrors * error);
  // The bound is the deviation of an estimated variance. The fourth moments of these log-ratios are
  // below those of e^2, which are 15 times the squared variance.
  EXPECT_NEAR(got.prior_kl.standard_error / error, 1.0, kErrors * 0.5 * std::sqrt(15.0 / kRows));
  for (size_t j = 0; j < kLatent; ++j) {
    EXPECT_NEAR(got.dimension_information[j], 0.0, kRounding);
    EXPECT_NEAR(got.dimension_kl[j], kl, kErrors * error);
  }
}

TEST(AggregatePosterior, InformationOfSeparatePosteriorsIsSaturated) {
  constexpr size_t kRows = 333, kLatent = 4;
  PosteriorRows q{{}, Doubles(kRows * kLatent), kLatent};
  for (size_t i = 0; i < kRows * kLatent; ++i)
    q.mean.push_back(100.0 * static_cast<double>(i / kLatent));  // the next row's density: e^-5000
  const AggregatePosterior got = aggregate_posterior(q, draw_codes(q, 50));
  const double entropy = std::log(double{kRows});
  EXPECT_EQ(got.draws, 50u);
  EXPECT_EQ(got.log_rows, entropy);
  EXPECT_TRUE(is_saturated(got));
  // Positions reach 33200. One ulp of that is 7e-12 standard deviations.
  constexpr double kPosition = 1e-9;
  EXPECT_NEAR(got.mutual_information.value, entropy, kPosition);
  EXPECT_NEAR(got.total_correlation.value, (kLatent - 1) * entropy, kPosition);
  for (const double information : got.dimension_information)
    EXPECT_NEAR(information, entropy, kPosition);
}

TEST(AggregatePosterior, MatchesNumericalIntegration) {
  constexpr size_t kRows = 7, kTimes = 20000;
  const PosteriorRows q = random_posteriors(kRows, 2, 3);
  const AggregatePosterior got = aggregate_posterior(q, draw_often(q, kTimes, 4));

  // The grid extends at least seven of the largest deviations beyond every mean, which omits a
  // mass of e^-24. Its step is a quarter of the smallest deviation, so that the trapezoidal rule
  // contributes an even smaller error.
  constexpr double kStep = 0.05, kEnd = 12.0;
  Doubles grid;
  for (double z = -kEnd; z <= kEnd; z += kStep) grid.push_back(z);
  const auto density = [&](double z, size_t row, size_t j) {
    return std::exp(log_normal(z, q.mean[row * 2 + j], q.log_variance[row * 2 + j]));
  };
  const auto minus_p_log_p = [](double p) { return p > 0.0 ? -p * std::log(p) : 0.0; };
  double conditional[2] = {}, marginal[2] = {}, cross[2] = {}, joint = 0.0;  // entropies
  std::vector<Doubles> of_row[2];
  for (size_t j = 0; j < 2; ++j) {
    of_row[j].assign(grid.size(), Doubles(kRows));
    for (size_t i = 0; i < grid.size(); ++i) {
      double mixture = 0.0;
      for (size_t row = 0; row < kRows; ++row)
        mixture += (of_row[j][i][row] = density(grid[i], row, j)) / kRows;
      marginal[j] += minus_p_log_p(mixture) * kStep;
      cross[j] -= mixture * log_normal(grid[i], 0.0, 0.0) * kStep;
    }
    for (size_t row = 0; row < kRows; ++row) {
      const size_t at = row * 2 + j;
      conditional[j] +=
          entropy(DiagonalGaussian{{&q.mean[at], 1}, {&q.log_variance[at], 1}}) / kRows;
    }
  }
  for (const Doubles& first : of_row[0])
    for (const Doubles& second : of_row[1]) {
      double mixture = 0.0;
      for (size_t row = 0; row < kRows; ++row) mixture += first[row] * second[row] / kRows;
      joint += minus_p_log_p(mixture) * kStep * kStep;
    }
  const auto expect = [](const MonteCarloEstimate& estimate, double want) {
    EXPECT_NEAR(estimate.value, want, kErrors * estimate.standard_error);
    EXPECT_LT(estimate.standard_error, 0.01);
  };
  expect(got.mutual_information, joint - conditional[0] - conditional[1]);
  expect(got.prior_kl, cross[0] + cross[1] - joint);
  expect(got.total_correlation, marginal[0] + marginal[1] - joint);
  // Each dimension's terms are part of the joint estimate, so its error is at most the joint error.
  const double error = got.prior_kl.standard_error + got.total_correlation.standard_error;
  for (size_t j = 0; j < 2; ++j) {
    EXPECT_NEAR(got.dimension_information[j], marginal[j] - conditional[j], kErrors * error);
    EXPECT_NEAR(got.dimension_kl[j], cross[j] - marginal[j], kErrors * error);
  }
}

TEST(AggregatePosterior, PartsSumToTheMeanKl) {
  const PosteriorRows q = random_posteriors(400, 6, 5);
  const AggregatePosterior got = aggregate_posterior(q, draw_codes(q, 400));
  double kl = 0.0, variance = 0.0, dimensions = 0.0;
  for (size_t row = 0; row < 400; ++row) variance += ratio_variance(q, row);
  for (size_t i = 0; i < q.mean.size(); ++i)
    kl += standard_normal_kl(q.mean[i], q.log_variance[i]) / 400.0;
  EXPECT_NEAR(got.mutual_information.value + got.prior_kl.value, kl,
              kErrors * std::sqrt(variance) / 400.0);
  for (const double each : got.dimension_kl) dimensions += each;
  EXPECT_NEAR(got.prior_kl.value, got.total_correlation.value + dimensions, kRounding);
  EXPECT_LE(got.mutual_information.value, got.log_rows);
}

TEST(AggregatePosterior, DoesNotDependOnThreads) {
  const PosteriorRows q = random_posteriors(700, 5, 6);
  const CodeDraws draws = draw_codes(q, 100);
  const MixtureDensities one = mixture_densities(q, draws, {}, 1);
  for (const int threads : {0, 2, 3, 8}) {
    const MixtureDensities many = mixture_densities(q, draws, {}, threads);
    EXPECT_EQ(many.joint, one.joint);
    EXPECT_EQ(many.marginal, one.marginal);
  }
}

// The narrowest and the widest posteriors that the engine allows, mixed and in many dimensions.
TEST(AggregatePosterior, HandlesExtremeVariances) {
  constexpr size_t kRows = 20, kLatent = 300;
  Draws draws(7);
  PosteriorRows q{draws.normals(kRows * kLatent), {}, kLatent};
  for (size_t i = 0; i < kRows * kLatent; ++i)
    q.log_variance.push_back(i / kLatent % 2 == 0 ? -16.0 : 16.0);
  const AggregatePosterior got = aggregate_posterior(q, draw_codes(q, kRows));
  // A code of a narrow row identifies its row. Wide rows are indistinguishable: their means differ
  // by 1 at a deviation of e^8, which moves log q(z|x) by sqrt(latent) e^-8.
  const double information = 0.5 * std::log(double{kRows}) + 0.5 * std::log(2.0);
  const double deviation = std::sqrt(0.5 * kRows * kLatent) / (kRows * std::exp(8.0));
  EXPECT_NEAR(got.mutual_information.value, information, kErrors * deviation);
  EXPECT_TRUE(std::isfinite(got.prior_kl.value));
  EXPECT_TRUE(std::isfinite(got.total_correlation.value));
}

}  // namespace
}  // namespace elbo
