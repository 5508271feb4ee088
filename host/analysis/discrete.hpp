// Entropy, divergence and mutual information of distributions over finitely many outcomes, in nats.
//
// T. M. Cover and J. A. Thomas, "Elements of Information Theory", 2nd edition, 2006, chapter 2.
//
// Probabilities must be finite, at least 0, and sum to 1 within the rounding of floats, in which
// they may have been stored; otherwise DataError is thrown. 0 log 0 = 0 throughout.
#pragma once

#include <cstddef>
#include <span>

namespace elbo {

/// Returns H(p) = -sum p log p (Cover and Thomas, equation 2.1). p [outcomes].
double entropy(std::span<const double> p);

/// Returns D(p || q) = sum p log(p / q) (equation 2.26); infinite if some q is 0 and its p is not.
/// p, q [outcomes]; also throws DataError if their sizes differ.
double kl_divergence(std::span<const double> p, std::span<const double> q);

/// Returns I(X; Y) = D(p(x, y) || p(x) p(y)) (equation 2.28). joint [outcomes of x, columns], with
/// one column per outcome of y; also throws DataError if the last row is incomplete.
double mutual_information(std::span<const double> joint, size_t columns);

}  // namespace elbo
