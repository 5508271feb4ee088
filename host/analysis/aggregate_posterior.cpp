#include "host/analysis/aggregate_posterior.hpp"

#include <cmath>
#include <numbers>

#include "host/train/running_moments.hpp"
#include "kernels/math/elementary.hpp"

namespace elbo {
namespace {

double log_prior(double z) { return -0.5 * (z * z + math::kLogTwoPi); }

}  // namespace

bool is_saturated(const AggregatePosterior& aggregate) {
  return aggregate.mutual_information.value > aggregate.log_rows - std::numbers::ln2;
}

AggregatePosterior aggregate_posterior(const PosteriorRows& q, const CodeDraws& draws,
                                       int threads) {
  const size_t latent = q.latent, count = draws.rows.size();
  const MixtureDensities log_q = mixture_densities(q, draws, {}, threads);
  AggregatePosterior result;
  result.draws = count;
  result.log_rows = std::log(static_cast<double>(q.rows()));
  result.dimension_information.resize(latent);
  result.dimension_kl.resize(latent);
  RunningMoments moments(3);
  for (size_t m = 0; m < count; ++m) {
    double own = 0.0, prior = 0.0, product = 0.0;
    for (size_t j = 0; j < latent; ++j) {
      const size_t at = m * latent + j;
      const double log_p = log_prior(draws.z[at]);
      own += log_q.own[at], prior += log_p, product += log_q.marginal[at];
      result.dimension_information[j] += log_q.own[at] - log_q.marginal[at];
      result.dimension_kl[j] += log_q.marginal[at] - log_p;
    }
    const double terms[] = {own - log_q.joint[m], log_q.joint[m] - prior, log_q.joint[m] - product};
    moments.add(terms);
  }
  for (std::vector<double>* sums : {&result.dimension_information, &result.dimension_kl})
    for (double& sum : *sums) sum /= static_cast<double>(count);
  const auto estimate = [&](size_t term) {
    return MonteCarloEstimate{moments.mean(term), moments.standard_error(term)};
  };
  result.mutual_information = estimate(0);
  result.prior_kl = estimate(1);
  result.total_correlation = estimate(2);
  return result;
}

}  // namespace elbo
