// Entropy and divergence of Gaussians, in nats.
//
// T. M. Cover and J. A. Thomas, "Elements of Information Theory", 2nd edition, 2006, chapter 8;
// D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.
//
// DataError is thrown where sizes contradict each other, a number is not finite, or a covariance is
// not symmetric and positive definite.
#pragma once

#include <cstddef>
#include <span>

namespace elbo {

/// Independent components.
struct DiagonalGaussian {
  std::span<const double> mean;          // [d]
  std::span<const double> log_variance;  // [d]
};

struct FullGaussian {
  std::span<const double> mean;        // [d]
  std::span<const double> covariance;  // [d, d]
};

/// h = (d log 2πe + sum log variance) / 2 (Cover and Thomas, theorem 8.4.1); may be negative.
double entropy(const DiagonalGaussian& p);

/// D(p || q) = sum over dimensions of (v_p / v_q - 1 - log(v_p / v_q) + (m_p - m_q)^2 / v_q) / 2,
/// section 8.5's integral of p log(p / q).
double kl_divergence(const DiagonalGaussian& p, const DiagonalGaussian& q);

/// D(N(mean, e^log_variance) || N(0, 1)), one dimension of appendix B's
/// -(1 + log variance - mean^2 - variance) / 2.
double standard_normal_kl(double mean, double log_variance);

/// h = (d log 2πe + log det S) / 2 (Cover and Thomas, theorem 8.4.1); may be negative.
double entropy(const FullGaussian& p);

/// D(p || q) = (tr(S_q^-1 S_p) + (m_q - m_p)^T S_q^-1 (m_q - m_p) - d + log(det S_q / det S_p)) /
/// 2, section 8.5's integral of p log(p / q).
double kl_divergence(const FullGaussian& p, const FullGaussian& q);

/// Whether a symmetric matrix [d, d] is positive definite by more than rounding, as the covariances
/// above have to be. Throws DataError if it is not symmetric.
bool is_positive_definite(std::span<const double> matrix, size_t d);

}  // namespace elbo
