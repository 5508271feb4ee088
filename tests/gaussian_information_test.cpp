// Entropy and divergence of Gaussians: examples computed by hand, the laws that they obey, and
// Monte Carlo.
#include "host/analysis/gaussian.hpp"
#include "tests/tables.hpp"

namespace elbo {
namespace {

const double kLog2 = std::log(2.0), kLog3 = std::log(3.0);
const double kLogTwoPi = std::log(2.0 * std::numbers::pi);
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Doubles transposed_product(const Doubles& a, size_t d) {  // A A^T
  Doubles s(d * d);
  for (size_t i = 0; i < d * d; ++i)
    for (size_t k = 0; k < d; ++k) s[i] += a[i / d * d + k] * a[i % d * d + k];
  return s;
}

Doubles product(const Doubles& a, const Doubles& b, size_t d) {  // A B, B [d, any]
  const size_t columns = b.size() / d;
  Doubles c(b.size());
  for (size_t i = 0; i < c.size(); ++i)
    for (size_t k = 0; k < d; ++k) c[i] += a[i / columns * d + k] * b[k * columns + i % columns];
  return c;
}

/// N(m, L L^T). The diagonal of L is in (0.5, 1.5), what is below it in (-0.5, 0.5).
struct Normal {
  size_t d;
  Doubles mean, lower, covariance;

  Normal(Draws& draws, size_t size) : d(size), mean(draws.normals(size)), lower(size * size) {
    for (size_t i = 0; i < d; ++i)
      for (size_t j = 0; j <= i; ++j)
        lower[i * d + j] = draws.uniform(-0.5, 0.5) + (i == j ? 1.0 : 0.0);
    covariance = transposed_product(lower, d);
  }
  operator FullGaussian() const { return {mean, covariance}; }

  Doubles draw(Draws& draws) const {
    Doubles x = product(lower, draws.normals(d), d);
    for (size_t i = 0; i < d; ++i) x[i] += mean[i];
    return x;
  }
  double log_density(const Doubles& x) const {
    Doubles z(d);  // L z = x - m
    double sum = 0.0;
    for (size_t i = 0; i < d; ++i) {
      z[i] = x[i] - mean[i];
      for (size_t k = 0; k < i; ++k) z[i] -= lower[i * d + k] * z[k];
      z[i] /= lower[i * d + i];
      sum -= 0.5 * (kLogTwoPi + z[i] * z[i]) + std::log(lower[i * d + i]);
    }
    return sum;
  }
};

/// Terms in a divergence of such Gaussians in d dimensions, and how large they get: inverses of L
/// have elements below 2 * 2^(d - 1), and means are at most 2 * 7 apart.
size_t terms(size_t d) { return d * d * d; }
double largest(size_t d) { return 196.0 * std::pow(4.0, static_cast<double>(d)); }

TEST(Gaussian, ByHandInOneDimension) {
  const Doubles zero = {0.0}, one = {1.0}, log4 = {2.0 * kLog2};
  const DiagonalGaussian standard{zero, zero}, wide{one, log4};  // N(0, 1), N(1, 4)
  expect_equal(entropy(standard), 0.5 * (1.0 + kLogTwoPi), 1, 2.0);
  expect_equal(entropy(wide), 0.5 * (1.0 + kLogTwoPi) + kLog2, 1, 4.0);
  // (4 / 1 - 1 - log 4 + 1^2 / 1) / 2 and (1/4 - 1 + log 4 + 1^2 / 4) / 2.
  expect_equal(kl_divergence(wide, standard), 2.0 - kLog2, 1, 4.0);
  expect_equal(kl_divergence(standard, wide), kLog2 - 0.25, 1, 4.0);
  expect_equal(standard_normal_kl(1.0, 2.0 * kLog2), 2.0 - kLog2, 1, 4.0);
}

TEST(Gaussian, ByHandInTwoDimensions) {
  // S = (2 1; 1 2): trace 4, determinant 3, inverse (2 -1; -1 2) / 3.
  const Doubles mean = {1.0, 0.0}, zero = {0.0, 0.0};
  const Doubles s = {2.0, 1.0, 1.0, 2.0}, identity = {1.0, 0.0, 0.0, 1.0};
  const FullGaussian p{mean, s}, standard{zero, identity};
  expect_equal(entropy(p), 0.5 * (2.0 + 2.0 * kLogTwoPi + kLog3), 4, 4.0);
  // (4 + 1 - 2 - log 3) / 2 and (4/3 + 2/3 - 2 + log 3) / 2.
  expect_equal(kl_divergence(p, standard), 0.5 * (3.0 - kLog3), 4, 4.0);
  expect_equal(kl_divergence(standard, p), 0.5 * kLog3, 4, 4.0);
}

TEST(Gaussian, SmallDivergencesKeepTheirDigits) {
  // (e^t - 1 - t) / 2 = t^2 / 4 + t^3 / 12 + ..., which 1 - 1 would bury.
  // Left is the rounding of e^t - 1, a number of size t.
  const double t = 1e-6;
  EXPECT_NEAR(standard_normal_kl(0.0, t), t * t / 4.0 + t * t * t / 12.0,
              std::numeric_limits<double>::epsilon() * t);
}

TEST(Gaussian, DivergenceIsZeroForEqualsAndPositiveOtherwise) {
  Draws draws(1);
  for (int i = 0; i < 50; ++i) {
    const Normal p(draws, 3), q(draws, 3);
    expect_equal(kl_divergence(p, p), 0.0, terms(3), 8.0);
    EXPECT_GT(kl_divergence(p, q), 0.0);
    EXPECT_NE(kl_divergence(p, q), kl_divergence(q, p));
    const Doubles a = draws.normals(3), b = draws.normals(3);
    EXPECT_EQ(kl_divergence(DiagonalGaussian{a, b}, DiagonalGaussian{a, b}), 0.0);
    EXPECT_GT(kl_divergence(DiagonalGaussian{a, b}, DiagonalGaussian{a, a}), 0.0);
    EXPECT_GT(kl_divergence(DiagonalGaussian{a, b}, DiagonalGaussian{b, b}), 0.0);
  }
}

TEST(Gaussian, IndependentDimensionsAdd) {
  Draws draws(2);
  const Doubles mp = draws.normals(4), vp = draws.normals(4);
  const Doubles mq = draws.normals(4), vq = draws.normals(4), zero(1);
  double sum = 0.0, to_prior = 0.0;
  for (size_t i = 0; i < 4; ++i) {
    const auto one = [&](const Doubles& values) { return std::span(values).subspan(i, 1); };
    sum += kl_divergence(DiagonalGaussian{one(mp), one(vp)}, DiagonalGaussian{one(mq), one(vq)});
    const double kl =
        kl_divergence(DiagonalGaussian{one(mp), one(vp)}, DiagonalGaussian{zero, zero});
    EXPECT_DOUBLE_EQ(standard_normal_kl(mp[i], vp[i]), kl);
    to_prior += kl;
  }
  EXPECT_DOUBLE_EQ(kl_divergence(DiagonalGaussian{mp, vp}, DiagonalGaussian{mq, vq}), sum);
  EXPECT_DOUBLE_EQ(
      kl_divergence(DiagonalGaussian{mp, vp}, DiagonalGaussian{Doubles(4), Doubles(4)}), to_prior);
}

TEST(Gaussian, FullIsDiagonalWhereTheCovarianceIs) {
  Draws draws(3);
  for (const size_t d : {1, 2, 5}) {
    const Doubles mp = draws.normals(d), vp = draws.normals(d);
    const Doubles mq = draws.normals(d), vq = draws.normals(d);
    Doubles sp(d * d), sq(d * d);
    for (size_t i = 0; i < d; ++i) {
      sp[i * (d + 1)] = std::exp(vp[i]);
      sq[i * (d + 1)] = std::exp(vq[i]);
    }
    const DiagonalGaussian p{mp, vp}, q{mq, vq};
    const FullGaussian full_p{mp, sp}, full_q{mq, sq};
    expect_equal(entropy(full_p), entropy(p), d, 16.0);
    const double want = kl_divergence(p, q);
    expect_equal(kl_divergence(full_p, full_q), want, d, 16.0 + want);
  }
}

TEST(Gaussian, IndependentBlocksAdd) {
  Draws draws(4);
  const Normal p1(draws, 2), p2(draws, 3), q1(draws, 2), q2(draws, 3);
  const auto joined = [](const Normal& a, const Normal& b, Doubles& mean, Doubles& covariance) {
    mean = a.mean;
    mean.insert(mean.end(), b.mean.begin(), b.mean.end());
    covariance.assign(25, 0.0);
    for (size_t i = 0; i < 4; ++i) covariance[i / 2 * 5 + i % 2] = a.covariance[i];
    for (size_t i = 0; i < 9; ++i) covariance[(2 + i / 3) * 5 + 2 + i % 3] = b.covariance[i];
  };
  Doubles mp, sp, mq, sq;
  joined(p1, p2, mp, sp);
  joined(q1, q2, mq, sq);
  expect_equal(entropy(FullGaussian{mp, sp}), entropy(p1) + entropy(p2), terms(5), 16.0);
  expect_equal(kl_divergence(FullGaussian{mp, sp}, FullGaussian{mq, sq}),
               kl_divergence(p1, q1) + kl_divergence(p2, q2), terms(5), largest(3));
}

// D(p(x, y) || q(x, y)) = D(p(x) || q(x)) + E_p(x) D(p(y|x) || q(y|x)), with y|x normal around m_y
// + (s_xy / s_xx) (x - m_x) with variance s_yy - s_xy^2 / s_xx: the means of p and q differ by
// offset + slope (x - m_x), whose mean square is offset^2 + slope^2 s_xx.
TEST(Gaussian, ChainRule) {
  Draws draws(5);
  for (int i = 0; i < 50; ++i) {
    const Normal p(draws, 2), q(draws, 2);
    const Doubles &s = p.covariance, &t = q.covariance;
    const double p_slope = s[1] / s[0], q_slope = t[1] / t[0];
    const double slope = p_slope - q_slope;
    const double offset = p.mean[1] - q.mean[1] - q_slope * (p.mean[0] - q.mean[0]);
    const double vp = s[3] - s[1] * p_slope, vq = t[3] - t[1] * q_slope;
    const double conditional =
        0.5 * (vp / vq - 1.0 - std::log(vp / vq) + (offset * offset + slope * slope * s[0]) / vq);
    const Doubles lp = {std::log(s[0])}, lq = {std::log(t[0])};
    const double marginal = kl_divergence(DiagonalGaussian{std::span(p.mean).first(1), lp},
                                          DiagonalGaussian{std::span(q.mean).first(1), lq});
    expect_equal(kl_divergence(p, q), marginal + conditional, terms(2), largest(2));
  }
}

TEST(Gaussian, DivergenceDoesNotChangeUnderInvertibleAffineMaps) {
  Draws draws(6);
  constexpr size_t d = 3;
  for (int i = 0; i < 50; ++i) {
    const Normal p(draws, d), q(draws, d), map(draws, d);
    const auto mapped_mean = [&](const Normal& n) {
      Doubles mean = product(map.lower, n.mean, d);
      for (size_t k = 0; k < d; ++k) mean[k] += map.mean[k];
      return mean;
    };
    const auto mapped_covariance = [&](const Normal& n) {
      return transposed_product(product(map.lower, n.lower, d), d);
    };
    const Doubles mp = mapped_mean(p), sp = mapped_covariance(p);
    const Doubles mq = mapped_mean(q), sq = mapped_covariance(q);
    // The map's inverse can stretch rounding as far as L's does.
    expect_equal(kl_divergence(FullGaussian{mp, sp}, FullGaussian{mq, sq}), kl_divergence(p, q),
                 terms(d), largest(2 * d));
    // Entropy grows by log |det A|.
    const double log_determinant =
        std::log(map.lower[0]) + std::log(map.lower[4]) + std::log(map.lower[8]);
    expect_equal(entropy(FullGaussian{mp, sp}), entropy(p) + log_determinant, terms(d), largest(d));
  }
}

// E_p (log p - log q) and -E_p log p from draws: within five standard errors, which a right
// function misses once in 10^6 seeds.
TEST(Gaussian, AgreesWithMonteCarlo) {
  Draws draws(7);
  constexpr int kCount = 20000;
  for (const size_t d : {1, 3, 6}) {
    const Normal p(draws, d), q(draws, d);
    double kl = 0.0, kl_squares = 0.0, h = 0.0, h_squares = 0.0;
    for (int i = 0; i < kCount; ++i) {
      const Doubles x = p.draw(draws);
      const double log_p = p.log_density(x), ratio = log_p - q.log_density(x);
      kl += ratio / kCount, kl_squares += ratio * ratio / kCount;
      h -= log_p / kCount, h_squares += log_p * log_p / kCount;
    }
    EXPECT_NEAR(kl_divergence(p, q), kl, 5.0 * std::sqrt((kl_squares - kl * kl) / kCount)) << d;
    EXPECT_NEAR(entropy(p), h, 5.0 * std::sqrt((h_squares - h * h) / kCount)) << d;
  }
}

TEST(Gaussian, WhatIsNoCovarianceIsRefused) {
  const Doubles zero = {0.0, 0.0}, identity = {1.0, 0.0, 0.0, 1.0};
  const auto with = [&](Doubles s) { return entropy(FullGaussian{zero, s}); };
  EXPECT_GT(with(identity), 0.0);
  expect_data_error([&] { with({1.0, 0.5, 0.4, 1.0}); }, "not symmetric: element (1, 0) is 0.4");
  expect_data_error([&] { with({1.0, 2.0, 2.0, 1.0}); }, "not positive definite: dimension 1");
  expect_data_error([&] { with({1.0, 1.0, 1.0, 1.0}); }, "dimension 1 has no positive variance");
  expect_data_error([&] { with({-1.0, 0.0, 0.0, 1.0}); }, "dimension 0 has no positive variance");
  expect_data_error([&] { with({1.0, 0.0, 0.0, kNan}); }, "covariance: number 3");
  expect_data_error([&] { with({1.0, 0.0, 1.0}); }, "covariance: got 3 numbers, expected 4");
  const Doubles one = {0.0}, bad = {kNan, 0.0};
  expect_data_error([&] { entropy(DiagonalGaussian{zero, one}); }, "log-variance: got 1 numbers");
  expect_data_error([&] { entropy(DiagonalGaussian{bad, zero}); }, "mean: number 0");
  expect_data_error(
      [&] {
        kl_divergence(DiagonalGaussian{zero, zero}, DiagonalGaussian{one, one});
      },
      "got 1 dimensions of q, expected 2");
  expect_data_error(
      [&] {
        kl_divergence(FullGaussian{zero, identity}, FullGaussian{one, {one}});
      },
      "got 1 dimensions of q, expected 2");
}

TEST(Gaussian, KnowsWhatIsPositiveDefinite) {
  EXPECT_TRUE(is_positive_definite(Doubles{2.0, 1.0, 1.0, 2.0}, 2));
  EXPECT_FALSE(is_positive_definite(Doubles{1.0, 1.0, 1.0, 1.0}, 2));
  EXPECT_FALSE(is_positive_definite(Doubles{1.0, 0.0, 0.0, 0.0}, 2));
  // Small is not singular.
  EXPECT_TRUE(is_positive_definite(Doubles{1e-200, 0.0, 0.0, 1.0}, 2));
  // Three columns that span two dimensions, wherever rounding leaves the third.
  Draws draws(8);
  for (int i = 0; i < 1000; ++i) {
    Doubles a = draws.normals(9);
    for (size_t k = 0; k < 3; ++k) a[3 * k + 2] = 0.0;
    EXPECT_FALSE(is_positive_definite(transposed_product(a, 3), 3));
  }
  // Correlation 1 - 1e-12 is far from 1 as rounding goes.
  EXPECT_TRUE(is_positive_definite(Doubles{1.0, 1.0 - 1e-12, 1.0 - 1e-12, 1.0}, 2));
  expect_data_error([] { is_positive_definite(Doubles{1.0, 1.0, 0.0, 1.0}, 2); }, "not symmetric");
}

}  // namespace
}  // namespace elbo
