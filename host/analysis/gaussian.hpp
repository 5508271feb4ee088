// Entropy and divergence of Gaussians, in nats.
//
// T. M. Cover and J. A. Thomas, "Elements of Information Theory", 2nd edition, 2006, chapter 8;
// D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.
//
// Throws DataError if sizes contradict each other, a number is not finite, or a covariance is not
// symmetric and positive definite.
#pragma once

#include <cstddef>
#include <span>

namespace elbo {

/// A Gaussian with independent components.
struct DiagonalGaussian {
  std::span<const double> mean;          // [d]
  std::span<const double> log_variance;  // [d]
};

struct FullGaussian {
  std::span<const double> mean;        // [d]
  std::span<const double> covariance;  // [d, d]
};

/// Returns h = (d log 2πe + sum log variance) / 2 (Cover and Thomas, theorem 8.4.1); may be
/// negative.
double entropy(const DiagonalGaussian& p);

/// Returns D(p || q) = sum over dimensions of (v_p / v_q - 1 - log(v_p / v_q) + (m_p - m_q)^2 /
/// v_q) / 2, the integral of p log(p / q) from section 8.5.
double kl_divergence(const DiagonalGaussian& p, const DiagonalGaussian& q);

/// Returns D(N(mean, e^log_variance) || N(0, 1)), one dimension of -(1 + log variance - mean^2 -
/// variance) / 2 from appendix B.
double standard_normal_kl(double mean, double log_variance);

/// Returns h = (d log 2πe + log det S) / 2 (Cover and Thomas, theorem 8.4.1); may be negative.
double entropy(const FullGaussian& p);

/// Returns D(p || q) = (tr(S_q^-1 S_p) + (m_q - m_p)^T S_q^-1 (m_q - m_p) - d + log(det S_q / det
/// S_p)) / 2, the integral of p log(p / q) from section 8.5.
double kl_divergence(const FullGaussian& p, const FullGaussian& q);

/// Returns true if a symmetric matrix [d, d] is positive definite beyond rounding errors, as the
/// covariances above must be. Throws DataError if it is not symmetric.
bool is_positive_definite(std::span<const double> matrix, size_t d);

}  // namespace elbo
