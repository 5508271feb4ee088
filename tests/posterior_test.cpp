// The Gaussian posterior: the KL equals its integral, gradients are exact, the clamp stops them
// outside its range, and the PyTorch twin agrees.
#include "kernels/math/posterior.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <span>

#include "tests/finite_difference.hpp"
#include "tests/golden.hpp"

namespace elbo::math {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

TEST(Posterior, DivergenceIsTheIntegral) {
  for (const double mu : {-1.5, 0.0, 0.7})
    for (const double logvar : {-3.0, 0.0, 1.0}) {
      const double deviation = ::exp(0.5 * logvar), step = 1e-3;
      double integral = 0.0;  // E_q[log q - log p], q's tails beyond 12 deviations being nothing
      for (double t = -12.0; t < 12.0; t += step) {
        const double z = mu + deviation * t;
        const double log_ratio = -0.5 * (logvar + t * t) + 0.5 * z * z;
        integral += step * ::exp(-0.5 * (t * t + kLogTwoPi)) * log_ratio;
      }
      EXPECT_NEAR(gaussian_kl(mu, logvar), integral, 1e-12) << mu << ' ' << logvar;
    }
}

TEST(Posterior, DivergenceFromThePriorToItselfIsZero) { EXPECT_EQ(gaussian_kl(0.0f, 0.0f), 0.0f); }

TEST(Posterior, LogRatioIsThatOfTheDensities) {
  const auto log_normal = [](double x, double mean, double variance) {
    return -0.5 * (kLogTwoPi + ::log(variance) + (x - mean) * (x - mean) / variance);
  };
  for (const double mu : {-1.5, 0.0, 0.7})
    for (const double logvar : {-20.0, -3.0, 0.0, 1.0, 20.0})
      for (const double epsilon : {-2.5, 0.0, 0.3, 6.7}) {
        const double variance = ::exp(std::clamp(logvar, -16.0, 16.0));
        const double z = mu + ::sqrt(variance) * epsilon;
        const double want = log_normal(z, 0.0, 1.0) - log_normal(z, mu, variance);
        EXPECT_NEAR(log_prior_ratio(z, logvar, epsilon), want, 1e-11 * (1.0 + z * z))
            << mu << ' ' << logvar << ' ' << epsilon;
      }
  // A posterior that is the prior has weights of exactly 1.
  for (const float epsilon : {-2.5f, 0.3f, 6.7f})
    EXPECT_EQ(log_prior_ratio(reparameterize(0.0f, 0.0f, epsilon), 0.0f, epsilon), 0.0f);
}

/// A loss through z, w . z for L samples, plus the weighted KL, as in training.
struct Loss {
  double weight[3] = {0.7, -1.3, 0.2};
  double epsilon[3] = {0.5, -0.4, 2.1};
  double kl_weight = 0.3;

  double at(double mu, double logvar) const {
    double sum = kl_weight * gaussian_kl(mu, logvar);
    for (int l = 0; l < 3; ++l) sum += weight[l] * reparameterize(mu, logvar, epsilon[l]);
    return sum;
  }
  template <class T>
  PosteriorGradient<T> gradient(T mu, T logvar) const {
    double grad_z = 0.0, grad_z_epsilon = 0.0;
    for (int l = 0; l < 3; ++l) grad_z += weight[l], grad_z_epsilon += weight[l] * epsilon[l];
    return posterior_gradient(mu, logvar, static_cast<T>(grad_z), static_cast<T>(grad_z_epsilon),
                              static_cast<T>(kl_weight));
  }
};

/// The same loss with the samples' log-ratios, weighed, in place of the divergence.
struct ImportanceLoss : Loss {
  double importance[3] = {0.5, 2.2, 0.3};  // 1 on average

  double at(double mu, double logvar) const {
    double sum = 0.0;
    for (int l = 0; l < 3; ++l) {
      const double z = reparameterize(mu, logvar, epsilon[l]);
      const double log_ratio = log_prior_ratio(z, logvar, epsilon[l]);
      sum += weight[l] * z - kl_weight * importance[l] / 3.0 * log_ratio;
    }
    return sum;
  }
  PosteriorGradient<double> gradient(double mu, double logvar) const {
    double grad_z = 0.0, grad_z_epsilon = 0.0;
    for (int l = 0; l < 3; ++l) {
      const double z = reparameterize(mu, logvar, epsilon[l]);
      const double grad = weight[l] + importance_gradient_z(z, kl_weight * importance[l] / 3.0);
      grad_z += grad, grad_z_epsilon += grad * epsilon[l];
    }
    return importance_gradient(logvar, grad_z, grad_z_epsilon, kl_weight);
  }
};

constexpr double kMeans[] = {-30.0, -1.0, 0.0, 0.5, 30.0};
constexpr double kInside[] = {-15.9, -15.0, -5.0, 0.0, 0.5, 5.0, 15.0, 15.9};
constexpr double kOutside[] = {-90.0, -17.0, -16.1, 16.1, 17.0, 90.0};

template <class L>
void expect_gradient_of(const L& loss) {
  for (const double mu : kMeans)
    for (const auto& places : {std::span<const double>(kInside), std::span<const double>(kOutside)})
      for (const double logvar : places) {
        const auto exact = loss.gradient(mu, logvar);
        const auto by_mu = finite_difference([&](double v) { return loss.at(v, logvar); }, mu);
        const auto by_logvar = finite_difference([&](double v) { return loss.at(mu, v); }, logvar);
        EXPECT_NEAR(exact.mu, by_mu.value, by_mu.error) << mu << ' ' << logvar;
        EXPECT_NEAR(exact.logvar, by_logvar.value, by_logvar.error) << mu << ' ' << logvar;
        EXPECT_LT(by_logvar.error, 1e-6 * (1.0 + std::abs(loss.at(mu, logvar))) + 1e-5);
      }
}

TEST(Posterior, GradientIsTheLosss) { expect_gradient_of(Loss()); }
TEST(Posterior, GradientOfImportanceWeightsIsTheLosss) { expect_gradient_of(ImportanceLoss()); }

TEST(Posterior, KlWeightsAreSlopes) {
  EXPECT_EQ(free_bits_weight(0.51, 0.5f, 0.7f), 0.7f);
  EXPECT_EQ(free_bits_weight(0.49, 0.5f, 0.7f), 0.0f);
  EXPECT_EQ(free_bits_weight(0.01, 0.0f, 0.7f), 0.7f) << "nothing is free";
  EXPECT_EQ(capacity_weight(5.1, 5.0f, 0.7f), 0.7f);
  EXPECT_EQ(capacity_weight(4.9, 5.0f, 0.7f), -0.7f);
  EXPECT_EQ(capacity_weight(5.0, 5.0f, 0.7f), 0.0f);
}

TEST(Posterior, TheClampStopsValueAndGradient) {
  const Loss loss;
  for (const double logvar : kOutside) {
    const double end = logvar < 0.0 ? -16.0 : 16.0;
    EXPECT_EQ(loss.at(0.5, logvar), loss.at(0.5, end));
    EXPECT_EQ(loss.gradient(0.5, logvar).logvar, 0.0);
    EXPECT_EQ(loss.gradient(0.5f, static_cast<float>(logvar)).logvar, 0.0f);
  }
  for (const double logvar : kInside) EXPECT_NE(loss.gradient(0.5, logvar).logvar, 0.0);
}

// exp within 2 ulps and five roundings; the divergence cancels by at most 1 + |logvar|, the
// gradient by the larger of its two parts.
TEST(Posterior, FloatKeepsToDouble) {
  const Loss loss;
  for (const double mean : kMeans)
    for (const double log_variance : kInside) {
      const auto mu = static_cast<float>(mean), logvar = static_cast<float>(log_variance);
      const double exact_mu = mu, exact_logvar = logvar;
      const double kl = gaussian_kl(exact_mu, exact_logvar);
      EXPECT_NEAR(gaussian_kl(mu, logvar), kl, 6.0 * kEpsilon * (kl + 17.0));
      const auto got = loss.gradient(mu, logvar);
      const auto want = loss.gradient(exact_mu, exact_logvar);
      EXPECT_NEAR(got.mu, want.mu, 6.0 * kEpsilon * (std::abs(mean) + 1.0));
      EXPECT_NEAR(got.logvar, want.logvar, 6.0 * kEpsilon * (1.0 + ::exp(exact_logvar)));
      EXPECT_NEAR(reparameterize(mu, logvar, 0.5f), reparameterize(exact_mu, exact_logvar, 0.5),
                  6.0 * kEpsilon * (std::abs(mean) + ::exp(0.5 * exact_logvar)));
    }
}

TEST(Posterior, EqualsTheTwin) {
  const GoldenFile golden(golden_folder() / "posterior_points.safetensors");
  const auto mean = golden.floats("gaussian.mean");
  const auto log_variance = golden.floats("gaussian.log_variance");
  const auto kl = golden.values("gaussian.kl");
  const auto grad_mean = golden.values("gaussian.grad_mean");
  const auto grad_log_variance = golden.values("gaussian.grad_log_variance");
  ASSERT_GT(mean.size(), 50u);
  for (size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(gaussian_kl(mean[i], log_variance[i]), kl[i], 6.0 * kEpsilon * (kl[i] + 17.0)) << i;
    const auto got = posterior_gradient(mean[i], log_variance[i], 0.0f, 0.0f, 1.0f);
    EXPECT_NEAR(got.mu, grad_mean[i], kEpsilon * std::abs(grad_mean[i])) << i;
    EXPECT_NEAR(got.logvar, grad_log_variance[i],
                6.0 * kEpsilon * (1.0 + std::abs(grad_log_variance[i])))
        << i;
  }
}

TEST(Posterior, NanIsNeverHidden) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(gaussian_kl(nan, 0.0f)));
  EXPECT_TRUE(std::isnan(gaussian_kl(0.0f, nan)));
  EXPECT_TRUE(std::isnan(reparameterize(0.0f, nan, 1.0f)));
  EXPECT_TRUE(std::isnan(log_prior_ratio(nan, 0.0f, 1.0f)));
  EXPECT_TRUE(std::isnan(log_prior_ratio(0.0f, nan, 1.0f)));
}

}  // namespace
}  // namespace elbo::math
