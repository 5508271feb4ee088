// Decomposes the divergence of q(z|x) from the prior, averaged over rows.
//
// M. D. Hoffman and M. J. Johnson, "ELBO surgery", 2016: mean KL(q(z|x) || p(z)) = I(x; z) +
// KL(q(z) || p(z)). Here x is one of the split's rows with equal probability, and q(z) is the
// mixture of all q(z|x). R. T. Q. Chen et al., "Isolating sources of disentanglement in variational
// autoencoders", 2018, equation 2: KL(q(z) || p(z)) is the total correlation of the dimensions of z
// plus the sum over dimensions of KL(q(z_j) || p(z_j)).
#pragma once

#include "host/analysis/mixture_density.hpp"

namespace elbo {

/// A mean over draws.
struct MonteCarloEstimate {
  double value = 0.0;
  double standard_error = 0.0;  // of the mean, assuming independent draws; 0 for one draw
};

/// In nats. The mixture is summed exactly and expectations are means over draws, so every estimate
/// is unbiased for the rows of the split.
struct AggregatePosterior {
  size_t draws = 0;
  MonteCarloEstimate mutual_information;      // I(x; z) = E[log q(z|x) - log q(z)]
  double log_rows = 0.0;                      // upper bound of mutual_information: the entropy of x
  MonteCarloEstimate prior_kl;                // KL(q(z) || p(z)) = E[log q(z) - log p(z)]
  MonteCarloEstimate total_correlation;       // E[log q(z) - sum over j of log q(z_j)]
  std::vector<double> dimension_information;  // [latent], I(x; z_j)
  std::vector<double> dimension_kl;           // [latent], KL(q(z_j) || N(0, 1))
};

/// Returns true if I(x; z) is within log 2 of its upper bound. On average, fewer than two rows
/// could then have produced a code, so I(x; z) reflects the size of the split and not the model.
bool is_saturated(const AggregatePosterior& aggregate);

/// `draws` are draws from `q`. `threads` 0 uses all threads; results do not depend on it.
AggregatePosterior aggregate_posterior(const PosteriorRows& q, const CodeDraws& draws,
                                       int threads = 0);

}  // namespace elbo
