// What each dimension of a code tells of the known factors that a data set was generated from.
//
// R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud, "Isolating sources of disentanglement in
// variational autoencoders", 2018, section 4.1: I(z_j; v_k) = E[log q(z_j|v_k) - log q(z_j)] of
// equation 5, and the mutual information gap of equation 6.
#pragma once

#include "host/analysis/mixture_density.hpp"

namespace elbo {

/// Groups of equal value where there are at most 20 values; otherwise 20 groups of as equal
/// size as rows of equal value, which stay together, allow. Numbered from 0 in the values' order.
std::vector<int32_t> bin_factor(std::span<const float> values);

/// In nats. NaN stands for what a factor that is the same in every row has not got.
struct FactorInformation {
  size_t factors = 0;
  std::vector<int32_t> bins;             // [factors]
  std::vector<double> entropy;           // [factors], H(v_k), of the bins' frequencies
  std::vector<double> information;       // [latent, factors], I(z_j; v_k)
  std::vector<double> normalized;        // [latent, factors], I(z_j; v_k) / H(v_k)
  std::vector<size_t> likeliest_latent;  // [factors], the dimension that tells most
  std::vector<double> gap;               // [factors], between the two largest I(z_j; v_k) / H(v_k)
  double mean_gap = 0.0;                 // the mutual information gap: over factors that vary
};

/// factors [rows of q, columns]. The conditional mixtures are summed exactly, expectations are
/// means over draws. Throws DataError where sizes do not fit or a factor is not finite.
FactorInformation factor_information(const PosteriorRows& q, const CodeDraws& draws,
                                     std::span<const float> factors, size_t columns,
                                     int threads = 0);

}  // namespace elbo
