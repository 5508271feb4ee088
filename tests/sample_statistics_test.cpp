// Moments of rows, and the Kolmogorov-Smirnov test.
#include "host/analysis/sample_statistics.hpp"

#include "tests/tables.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
const double kPhiOfOne = 0.5 * std::erfc(-std::numbers::sqrt2 / 2.0);  // 0.8413

TEST(Moments, ByHand) {
  // Means 6/3 and 0/3; deviations (-2, 0), (0, 2), (2, -2).
  const Moments got = moments(Doubles{0.0, 0.0, 2.0, 2.0, 4.0, -2.0}, 2);
  const Doubles mean = {2.0, 0.0}, covariance = {8.0 / 3, -4.0 / 3, -4.0 / 3, 8.0 / 3};
  for (size_t i = 0; i < 2; ++i) expect_equal(got.mean[i], mean[i], 3, 4.0);
  for (size_t i = 0; i < 4; ++i) expect_equal(got.covariance[i], covariance[i], 3, 4.0);
}

TEST(Moments, CountEveryRowOnce) {
  Draws draws(1);
  for (const size_t rows : {1, 2, 63, 64, 65, 200}) {
    const Doubles values = draws.normals(3 * rows);
    const auto n = static_cast<double>(rows);
    const Moments got = moments(values, 3);
    for (size_t a = 0; a < 3; ++a)
      for (size_t b = 0; b < 3; ++b) {
        double sum_a = 0.0, sum_b = 0.0, sum_ab = 0.0;
        for (size_t r = 0; r < rows; ++r) {
          sum_a += values[3 * r + a], sum_b += values[3 * r + b];
          sum_ab += values[3 * r + a] * values[3 * r + b];
        }
        expect_equal(got.mean[a], sum_a / n, rows, 8.0);
        expect_equal(got.covariance[3 * a + b], sum_ab / n - sum_a / n * sum_b / n, rows, 64.0);
        EXPECT_EQ(got.covariance[3 * a + b], got.covariance[3 * b + a]);
      }
  }
}

TEST(Moments, DoNotDrownInALargeMean) {
  const Moments got = moments(Doubles{1e8 + 1.0, 1e8 - 1.0, 1e8 + 1.0, 1e8 - 1.0}, 1);
  // Deviations are exact but for the mean's own rounding, whose square is added.
  EXPECT_NEAR(got.covariance[0], 1.0, 8.0 * kEpsilon * 1e8);
}

TEST(KolmogorovSmirnov, ByHand) {
  const auto statistic = [](const Doubles& column) {
    return kolmogorov_smirnov(column, 1).front().statistic;
  };
  EXPECT_DOUBLE_EQ(statistic({0.0}), 0.5);
  // The step at -1 goes from 0 to 1/2 and passes Φ(-1) = 0.159; at 1, from 1/2 to 1, 0.841.
  EXPECT_DOUBLE_EQ(statistic({1.0, -1.0}), kPhiOfOne - 0.5);
  // Two rows at the same place are one step, from 0 to 2/3.
  EXPECT_DOUBLE_EQ(statistic({0.0, 1.0, 0.0}), 0.5);
  // From 1/4 to 1, at Φ = 1/2.
  EXPECT_DOUBLE_EQ(statistic({0.0, -40.0, 0.0, 0.0}), 0.5);
  EXPECT_DOUBLE_EQ(statistic({40.0, 41.0}), 1.0);
  EXPECT_DOUBLE_EQ(statistic({-40.0, -41.0}), 1.0);
}

TEST(KolmogorovSmirnov, TakesColumnsApart) {
  const auto both = kolmogorov_smirnov(Doubles{1.0, 40.0, -1.0, 41.0}, 2);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_DOUBLE_EQ(both[0].statistic, kPhiOfOne - 0.5);
  EXPECT_DOUBLE_EQ(both[1].statistic, 1.0);
  EXPECT_DOUBLE_EQ(both[1].p_value, kolmogorov_tail(std::sqrt(2.0)));
}

// 200 columns of normal rows have p-values that are nearly uniform: their mean is 1/2 within five
// standard errors of sqrt(1/12 / 200) and 0.01 for the limit. A shift of 0.3 shows at once.
TEST(KolmogorovSmirnov, IsUniformUnderTheHypothesisAndSeesOthers) {
  Draws draws(2);
  constexpr size_t kColumns = 200, kRows = 500;
  Doubles rows = draws.normals(kColumns * kRows);
  double sum = 0.0;
  for (const KolmogorovSmirnov& ks : kolmogorov_smirnov(rows, kColumns)) sum += ks.p_value;
  EXPECT_NEAR(sum / kColumns, 0.5, 5.0 * std::sqrt(1.0 / 12.0 / kColumns) + 0.01);
  for (double& value : rows) value += 0.3;
  for (const KolmogorovSmirnov& ks : kolmogorov_smirnov(rows, kColumns))
    EXPECT_LT(ks.p_value, 1e-3);
}

TEST(KolmogorovSmirnov, TailHasItsTabulatedQuantiles) {
  // Smirnov 1948, Table for estimating the goodness of fit of empirical distributions: to the
  // digits given, whose last moves the tail by less than 5e-5 * 4 x * tail.
  for (const auto& [x, tail] :
       {std::pair{1.2238, 0.10}, {1.3581, 0.05}, {1.4802, 0.025}, {1.6276, 0.01}})
    EXPECT_NEAR(kolmogorov_tail(x), tail, 5e-5 * 4.0 * x * tail * 1.1);
}

TEST(KolmogorovSmirnov, TailIsItsSeries) {
  for (double x = 0.2; x < 4.0; x += 0.05) {
    double sum = 0.0;
    for (int k = 40; k >= 1; --k) sum += (k % 2 == 1 ? 2.0 : -2.0) * std::exp(-2.0 * k * k * x * x);
    EXPECT_NEAR(kolmogorov_tail(x), sum, 80.0 * kEpsilon) << x;
  }
  EXPECT_EQ(kolmogorov_tail(0.0), 1.0);
  EXPECT_EQ(kolmogorov_tail(0.01), 1.0);
  EXPECT_EQ(kolmogorov_tail(100.0), 0.0);
}

TEST(KolmogorovSmirnov, BonferroniCountsTests) {
  EXPECT_DOUBLE_EQ(bonferroni(0.01, 7), 0.07);
  EXPECT_EQ(bonferroni(0.5, 3), 1.0);
}

TEST(SampleStatistics, RefuseWhatAreNoRows) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_data_error(
      [] {
        moments(Doubles{1.0, 2.0, 3.0}, 2);
      },
      "rows: got 3 numbers, expected one row or more of 2");
  expect_data_error([] { moments(Doubles{}, 2); }, "rows: got 0 numbers");
  expect_data_error([] { moments(Doubles{1.0}, 0); }, "rows: got 1 numbers");
  expect_data_error([&] { moments(Doubles{1.0, nan}, 1); }, "number 1");
  expect_data_error([] { kolmogorov_smirnov(Doubles{1.0, 2.0, 3.0}, 2); }, "got 3 numbers");
  expect_data_error([&] { kolmogorov_smirnov(Doubles{1.0, nan}, 1); }, "number 1");
}

}  // namespace
}  // namespace elbo
