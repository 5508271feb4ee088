// Entropies, divergences and mutual information: examples computed by hand, the laws that they
// obey, and the decomposition of the evidence that variational inference rests on.
#include "host/analysis/discrete.hpp"
#include "host/analysis/gaussian.hpp"
#include "tests/tables.hpp"

namespace elbo {
namespace {

const double kLog2 = std::log(2.0), kLog3 = std::log(3.0);
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// No logarithm of a probability here is larger, nor is a term of a Gaussian's divergence.
constexpr double kLargest = 16.0;

Doubles product(const Doubles& x, const Doubles& y) {
  Doubles joint;
  for (const double px : x)
    for (const double py : y) joint.push_back(px * py);
  return joint;
}

TEST(Discrete, EntropyByHand) {
  // 1/2 log 2 + 1/4 log 4 + 1/8 log 8 + 1/8 log 8 = (1/2 + 2/4 + 3/8 + 3/8) log 2.
  // Cover and Thomas, example 2.1.2: 7/4 bits.
  expect_equal(entropy(Doubles{0.5, 0.25, 0.125, 0.125}), 1.75 * kLog2, 4, 1.0);
  EXPECT_EQ(entropy(Doubles{0.0, 1.0, 0.0}), 0.0);  // 0 log 0 = 0
  expect_equal(entropy(Doubles(6, 1.0 / 6.0)), std::log(6.0), 6, 1.0);
}

TEST(Discrete, DivergenceByHandIsNotSymmetric) {
  // Cover and Thomas, example 2.3.1, with r = 1/2 and s = 1/4:
  // 1/2 log(1/2 / 3/4) + 1/2 log(1/2 / 1/4) = 1/2 (log 2 - log 3) + 1/2 log 2, and
  // 3/4 log(3/4 / 1/2) + 1/4 log(1/4 / 1/2) = 3/4 (log 3 - log 2) - 1/4 log 2.
  const Doubles p = {0.5, 0.5}, q = {0.75, 0.25};
  expect_equal(kl_divergence(p, q), kLog2 - 0.5 * kLog3, 2, 2.0);
  expect_equal(kl_divergence(q, p), 0.75 * kLog3 - kLog2, 2, 2.0);
}

TEST(Discrete, DivergenceWhereProbabilitiesVanish) {
  EXPECT_EQ(kl_divergence(Doubles{0.5, 0.5}, Doubles{1.0, 0.0}), kInfinity);
  EXPECT_EQ(kl_divergence(Doubles{1.0, 0.0}, Doubles{0.5, 0.5}), kLog2);
  EXPECT_EQ(kl_divergence(Doubles{1.0, 0.0}, Doubles{1.0, 0.0}), 0.0);
  // The quotient of 1 and the smallest number overflows, its logarithm does not.
  const double tiny = std::numeric_limits<double>::denorm_min();
  EXPECT_DOUBLE_EQ(kl_divergence(Doubles{1.0, 0.0}, Doubles{tiny, 1.0}), 1074.0 * kLog2);
}

TEST(Discrete, MutualInformationByHand) {
  // Cover and Thomas, example 2.2.1: H(X) = 7/4 bits, H(X|Y) = 11/8 bits, so I(X; Y) = 3/8 bits.
  const Doubles joint = {4 / 32., 2 / 32., 1 / 32., 1 / 32.,  //
                         2 / 32., 4 / 32., 1 / 32., 1 / 32.,  //
                         2 / 32., 2 / 32., 2 / 32., 2 / 32.,  //
                         8 / 32., 0 / 32., 0 / 32., 0 / 32.};
  expect_equal(mutual_information(joint, 4), 0.375 * kLog2, 16, 4.0);
  // A table that is not square: one is a function of the other, which tells all of its log 2.
  expect_equal(mutual_information(Doubles{0.5, 0.0, 0.0, 0.0, 0.25, 0.25}, 3), kLog2, 6, 2.0);
}

TEST(Discrete, DivergenceIsZeroForEqualsAndPositiveOtherwise) {
  Draws draws(1);
  for (int i = 0; i < 200; ++i) {
    const Doubles p = draws.probabilities(5), q = draws.probabilities(5);
    EXPECT_EQ(kl_divergence(p, p), 0.0);
    EXPECT_GT(kl_divergence(p, q), 0.0);
    EXPECT_NE(kl_divergence(p, q), kl_divergence(q, p));
    // Pinsker's inequality, Cover and Thomas' lemma 11.6.1, says by how much.
    double distance = 0.0;
    for (size_t k = 0; k < 5; ++k) distance += std::abs(p[k] - q[k]);
    EXPECT_GE(kl_divergence(p, q), 0.5 * distance * distance);
  }
}

TEST(Discrete, IndependentPartsAdd) {
  Draws draws(2);
  for (int i = 0; i < 50; ++i) {
    const Doubles p1 = draws.probabilities(3), p2 = draws.probabilities(4);
    const Doubles q1 = draws.probabilities(3), q2 = draws.probabilities(4);
    const Doubles p = product(p1, p2), q = product(q1, q2);
    expect_equal(entropy(p), entropy(p1) + entropy(p2), 12, kLargest);
    expect_equal(kl_divergence(p, q), kl_divergence(p1, q1) + kl_divergence(p2, q2), 12, kLargest);
    expect_equal(mutual_information(p, 4), 0.0, 12, kLargest);
  }
}

// Cover and Thomas' theorem 2.5.3: D(p(x, y) || q(x, y)) = D(p(x) || q(x)) + D(p(y|x) || q(y|x)).
TEST(Discrete, ChainRule) {
  Draws draws(3);
  for (int i = 0; i < 50; ++i) {
    const Doubles px = draws.probabilities(3), qx = draws.probabilities(3);
    Doubles p, q;
    double chained = kl_divergence(px, qx), chained_entropy = entropy(px);
    for (size_t x = 0; x < 3; ++x) {
      const Doubles py = draws.probabilities(4), qy = draws.probabilities(4);
      chained += px[x] * kl_divergence(py, qy);
      chained_entropy += px[x] * entropy(py);
      for (size_t y = 0; y < 4; ++y) p.push_back(px[x] * py[y]), q.push_back(qx[x] * qy[y]);
    }
    expect_equal(kl_divergence(p, q), chained, 12, kLargest);
    expect_equal(entropy(p), chained_entropy, 12, kLargest);
  }
}

TEST(Discrete, MutualInformationIsDivergenceFromIndependence) {
  Draws draws(4);
  for (int i = 0; i < 50; ++i) {
    const Doubles joint = draws.probabilities(12);
    Doubles x(3), y(4);
    for (size_t k = 0; k < 12; ++k) x[k / 4] += joint[k], y[k % 4] += joint[k];
    const double information = mutual_information(joint, 4);
    EXPECT_GT(information, 0.0);
    expect_equal(information, kl_divergence(joint, product(x, y)), 12, kLargest);
    expect_equal(information, entropy(x) + entropy(y) - entropy(joint), 12, kLargest);
  }
}

TEST(Discrete, WhatIsNoDistributionIsRefused) {
  expect_data_error([] { entropy(Doubles{0.5, 0.4}); }, "p: the probabilities' sum is 0.9");
  expect_data_error([] { entropy(Doubles{1.5, -0.5}); }, "probability 1 is -0.5");
  expect_data_error([] { entropy(Doubles{1.0, kNan}); }, "number 1 is");
  expect_data_error([] { entropy(Doubles{}); }, "sum is 0");
  expect_data_error(
      [] {
        kl_divergence(Doubles{1.0}, Doubles{0.5, 0.5});
      },
      "q: got 2 probabilities, expected 1");
  expect_data_error([] { kl_divergence(Doubles{0.5, 0.5}, Doubles{0.5, 0.6}); }, "q: the");
  expect_data_error(
      [] {
        mutual_information(Doubles{0.5, 0.25, 0.25}, 2);
      },
      "joint: got 3 numbers, expected one row or more of 2");
  expect_data_error([] { mutual_information(Doubles{1.0}, 0); }, "joint");
  // Rounded to floats, thirds do not add up to 1, and still are probabilities.
  EXPECT_NEAR(entropy(Doubles(3, static_cast<double>(1.0f / 3.0f))), kLog3, 1e-7);
}

/// A model of z in 4 states and x in 3, all of it tables.
struct SmallModel {
  Doubles prior;                    // p(z)
  std::vector<Doubles> likelihood;  // p(x|z), for each z

  explicit SmallModel(Draws& draws) : prior(draws.probabilities(4)) {
    for (int z = 0; z < 4; ++z) likelihood.push_back(draws.probabilities(3));
  }
  double evidence(size_t x) const {
    double sum = 0.0;
    for (size_t z = 0; z < 4; ++z) sum += prior[z] * likelihood[z][x];
    return sum;
  }
  Doubles posterior(size_t x) const {
    Doubles p(4);
    for (size_t z = 0; z < 4; ++z) p[z] = prior[z] * likelihood[z][x] / evidence(x);
    return p;
  }
  /// E_q log p(x|z) - KL(q || p(z)).
  double elbo(size_t x, const Doubles& q) const {
    double reconstruction = 0.0;
    for (size_t z = 0; z < 4; ++z) reconstruction += q[z] * std::log(likelihood[z][x]);
    return reconstruction - kl_divergence(q, prior);
  }
};

// Kingma and Welling 2014, equations 1 and 3: log p(x) = ELBO(q) + KL(q || p(z|x)).
TEST(Evidence, IsBoundAndDivergenceFromThePosterior) {
  Draws draws(5);
  for (int i = 0; i < 20; ++i) {
    const SmallModel model(draws);
    for (size_t x = 0; x < 3; ++x) {
      const double evidence = std::log(model.evidence(x));
      const Doubles posterior = model.posterior(x);
      std::vector<Doubles> approximations = {
          {1.0, 0.0, 0.0, 0.0}, {0.0, 0.0, 1.0, 0.0}, {0.5, 0.0, 0.0, 0.5}, model.prior};
      for (int k = 0; k < 20; ++k) approximations.push_back(draws.probabilities(4));
      for (const Doubles& q : approximations) {
        const double divergence = kl_divergence(q, posterior);
        EXPECT_GT(divergence, 0.0);
        EXPECT_LT(model.elbo(x, q), evidence);
        expect_equal(model.elbo(x, q) + divergence, evidence, 4, kLargest);
      }
      expect_equal(model.elbo(x, posterior), evidence, 4, kLargest);
    }
  }
}

// The same where everything is Gaussian: z ~ N(0, I) in two dimensions, x ~ N(w z + b, v) in one,
// whose posterior has precision I + w w^T / v. Sherman and Morrison: its inverse is
// I - w w^T / (v + w^T w).
TEST(Evidence, DecomposesWithGaussiansToo) {
  Draws draws(6);
  for (int i = 0; i < 50; ++i) {
    const Doubles w = {draws.uniform(-2, 2), draws.uniform(-2, 2)};
    const double v = draws.uniform(0.5, 2), residual = draws.uniform(-2, 2);  // x - b
    const double total = v + w[0] * w[0] + w[1] * w[1];
    const double log_two_pi = std::log(2.0 * std::numbers::pi);
    const double evidence = -0.5 * (log_two_pi + std::log(total) + residual * residual / total);
    const Doubles posterior_mean = {w[0] * residual / total, w[1] * residual / total};
    const Doubles posterior_covariance = {1.0 - w[0] * w[0] / total, -w[0] * w[1] / total,
                                          -w[0] * w[1] / total, 1.0 - w[1] * w[1] / total};

    const Doubles mean = draws.normals(2);
    const Doubles log_variance = {draws.uniform(-2, 1), draws.uniform(-2, 1)};
    const Doubles variance = {std::exp(log_variance[0]), std::exp(log_variance[1])};
    const Doubles covariance = {variance[0], 0.0, 0.0, variance[1]}, zero = {0.0, 0.0};
    const double error = residual - w[0] * mean[0] - w[1] * mean[1];
    const double spread = w[0] * w[0] * variance[0] + w[1] * w[1] * variance[1];
    const double reconstruction = -0.5 * (log_two_pi + std::log(v) + (error * error + spread) / v);
    const double kl =
        kl_divergence(DiagonalGaussian{mean, log_variance}, DiagonalGaussian{zero, zero});
    const double divergence = kl_divergence(FullGaussian{mean, covariance},
                                            FullGaussian{posterior_mean, posterior_covariance});
    EXPECT_GT(divergence, 0.0);
    // The posterior's variances are 1 / 17 and more, and means at most 6 apart.
    expect_equal(reconstruction - kl + divergence, evidence, 4, 17.0 * 36.0);
  }
}

}  // namespace
}  // namespace elbo
