// Entropy, divergence and mutual information of distributions over finitely many outcomes, in nats.
//
// T. M. Cover and J. A. Thomas, "Elements of Information Theory", 2nd edition, 2006, chapter 2.
//
// Probabilities are finite and at least 0, and sum to 1 within the rounding of floats, in which
// they may have been stored; otherwise DataError is thrown. 0 log 0 = 0 throughout.
#pragma once

#include <cstddef>
#include <span>

namespace elbo {

/// H(p) = -sum p log p (Cover and Thomas, equation 2.1). p [outcomes].
double entropy(std::span<const double> p);

/// D(p || q) = sum p log(p / q) (equation 2.26); infinite if q is 0 and p is not. p, q
/// [outcomes]; throws DataError also if they differ in size.
double kl_divergence(std::span<const double> p, std::span<const double> q);

/// I(X; Y) = D(p(x, y) || p(x) p(y)) (equation 2.28). joint [outcomes of x, columns], `columns`
/// being the outcomes of y; throws DataError also if rows are not whole.
double mutual_information(std::span<const double> joint, size_t columns);

}  // namespace elbo
