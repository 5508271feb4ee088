// Measures the information of each dimension of a code about the known factors of a data set.
//
// R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud, "Isolating sources of disentanglement in
// variational autoencoders", 2018, section 4.1: I(z_j; v_k) = E[log q(z_j|v_k) - log q(z_j)] of
// equation 5, and the mutual information gap of equation 6.
#pragma once

#include "host/analysis/mixture_density.hpp"

namespace elbo {

/// Returns the group of each value. If there are at most 20 distinct values, each is a group of its
/// own. Otherwise the values are divided into up to 20 groups of nearly equal size; equal values
/// stay together. Groups are numbered from 0 in ascending order of values.
std::vector<int32_t> bin_factor(std::span<const float> values);

/// In nats. NaN if a factor has the same value in every row.
struct FactorInformation {
  size_t factors = 0;
  std::vector<int32_t> bins;             // [factors]
  std::vector<double> entropy;           // [factors], H(v_k), of the bins' frequencies
  std::vector<double> information;       // [latent, factors], I(z_j; v_k)
  std::vector<double> normalized;        // [latent, factors], I(z_j; v_k) / H(v_k)
  std::vector<size_t> likeliest_latent;  // [factors], the dimension with the largest I(z_j; v_k)
  std::vector<double> gap;               // [factors], largest minus second largest I(z_j; v_k) /
                                         // H(v_k)
  double mean_gap = 0.0;                 // mutual information gap: mean of gap over varying factors
};

/// factors [rows of q, columns]. The conditional mixtures are summed exactly, and expectations are
/// means over draws. Throws DataError if sizes do not match or a factor is not finite.
FactorInformation factor_information(const PosteriorRows& q, const CodeDraws& draws,
                                     std::span<const float> factors, size_t columns,
                                     int threads = 0);

}  // namespace elbo
