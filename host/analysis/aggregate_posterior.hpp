// What the divergence of q(z|x) from the prior, averaged over rows, is made of.
//
// M. D. Hoffman and M. J. Johnson, "ELBO surgery", 2016: mean KL(q(z|x) || p(z)) = I(x; z) +
// KL(q(z) || p(z)), x being one of the split's rows, each equally likely, and q(z) the mixture of
// their q(z|x). R. T. Q. Chen et al., "Isolating sources of disentanglement in variational
// autoencoders", 2018, equation 2: the latter is the total correlation of z's dimensions and the
// sum over dimensions of KL(q(z_j) || p(z_j)).
#pragma once

#include "host/analysis/mixture_density.hpp"

namespace elbo {

/// A mean over draws.
struct MonteCarloEstimate {
  double value = 0.0;
  double standard_error = 0.0;  // of the mean of draws taken to be independent; 0 of one
};

/// In nats. The mixture is summed exactly, expectations are means over draws: every estimate is
/// unbiased for its quantity of the split's rows.
struct AggregatePosterior {
  size_t draws = 0;
  MonteCarloEstimate mutual_information;      // I(x; z) = E[log q(z|x) - log q(z)]
  double log_rows = 0.0;                      // its upper bound, the entropy of x
  MonteCarloEstimate prior_kl;                // KL(q(z) || p(z)) = E[log q(z) - log p(z)]
  MonteCarloEstimate total_correlation;       // E[log q(z) - sum over j of log q(z_j)]
  std::vector<double> dimension_information;  // [latent], I(x; z_j)
  std::vector<double> dimension_kl;           // [latent], KL(q(z_j) || N(0, 1))
};

/// Whether I(x; z) is so near its bound that it tells of the split's size rather than of the model:
/// within log 2, where the rows that could have made a code are fewer than two on average.
bool is_saturated(const AggregatePosterior& aggregate);

/// `draws` are of `q`. `threads` 0: all there are; results do not depend on it.
AggregatePosterior aggregate_posterior(const PosteriorRows& q, const CodeDraws& draws,
                                       int threads = 0);

}  // namespace elbo
