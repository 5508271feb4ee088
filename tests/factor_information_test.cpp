// Information that codes contain about factors, for constructed codes with known results.
#include "host/analysis/factor_information.hpp"

#include "tests/tables.hpp"

namespace elbo {
namespace {

constexpr double kRounding = 1e-12;
constexpr size_t kRows = 320;
using Floats = std::vector<float>;

/// Returns two factors of 4 and 5 values whose combinations all occur equally often.
Floats crossed_factors() {
  Floats factors;
  for (size_t row = 0; row < kRows; ++row) {
    factors.push_back(static_cast<float>(row % 4));
    factors.push_back(static_cast<float>(row / 4 % 5));
  }
  return factors;
}

/// Returns posteriors with the means `mean(row, dimension)` and a constant log-variance.
template <class Mean>
PosteriorRows codes(size_t latent, double log_variance, Mean&& mean) {
  PosteriorRows q{{}, Doubles(kRows * latent, log_variance), latent};
  for (size_t i = 0; i < kRows * latent; ++i) q.mean.push_back(mean(i / latent, i % latent));
  return q;
}

FactorInformation analyze_factors(const PosteriorRows& q, const Floats& factors, size_t columns) {
  return factor_information(q, draw_codes(q, 100), factors, columns);
}

TEST(FactorInformation, LatentEqualToAFactorHasAllInformation) {
  const Floats factors = crossed_factors();
  // z0 is factor 0, z1 is factor 1 and z2 is constant. Adjacent values are e^8 deviations apart.
  const PosteriorRows q =
      codes(3, -16.0, [&](size_t row, size_t j) { return j < 2 ? factors[row * 2 + j] : 0.0; });
  const FactorInformation got = analyze_factors(q, factors, 2);
  EXPECT_EQ(got.bins, (std::vector<int32_t>{4, 5}));
  EXPECT_NEAR(got.entropy[0], std::log(4.0), kRounding);
  EXPECT_NEAR(got.entropy[1], std::log(5.0), kRounding);
  const Doubles want = {1.0, 0.0, 0.0, 1.0, 0.0, 0.0};
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_NEAR(got.normalized[i], want[i], kRounding) << i;
    EXPECT_NEAR(got.information[i], want[i] * got.entropy[i % 2], kRounding) << i;
  }
  EXPECT_EQ(got.likeliest_latent, (std::vector<size_t>{0, 1}));
  EXPECT_NEAR(got.gap[0], 1.0, kRounding);
  EXPECT_NEAR(got.gap[1], 1.0, kRounding);
  EXPECT_NEAR(got.mean_gap, 1.0, kRounding);
}

TEST(FactorInformation, RedundantLatentsHaveNoGap) {
  const Floats factors = crossed_factors();
  // z0 and z1 are both factor 0, with different scales.
  const PosteriorRows q =
      codes(2, -16.0, [&](size_t row, size_t j) { return (j + 1.0) * factors[row * 2]; });
  const FactorInformation got = analyze_factors(q, factors, 2);
  EXPECT_NEAR(got.normalized[0], 1.0, kRounding);
  EXPECT_NEAR(got.normalized[2], 1.0, kRounding);
  EXPECT_NEAR(got.gap[0], 0.0, kRounding);
  EXPECT_NEAR(got.mean_gap, 0.0, kRounding);
}

TEST(FactorInformation, HalfOfAFactorHasHalfTheInformation) {
  // The code identifies the half of the four values: log 2 of log 4 nats.
  const Floats factors = crossed_factors();
  const PosteriorRows q =
      codes(1, -16.0, [&](size_t row, size_t) { return factors[row * 2] < 2.0f ? 0.0 : 1.0; });
  const FactorInformation got = analyze_factors(q, factors, 2);
  EXPECT_NEAR(got.normalized[0], 0.5, kRounding);
  EXPECT_NEAR(got.gap[0], 0.5, kRounding);
  EXPECT_NEAR(got.gap[1], 0.0, kRounding);
}

TEST(FactorInformation, ConstantFactorHasNoInformation) {
  const Floats factors(kRows, 3.0f);
  const PosteriorRows q = codes(2, 0.0, [](size_t row, size_t) { return row % 7 * 1.0; });
  const FactorInformation got = analyze_factors(q, factors, 1);
  EXPECT_EQ(got.bins, (std::vector<int32_t>{1}));
  EXPECT_EQ(got.entropy[0], 0.0);
  EXPECT_EQ(got.information[0], 0.0);
  EXPECT_TRUE(std::isnan(got.normalized[0]));
  EXPECT_TRUE(std::isnan(got.gap[0]));
  EXPECT_TRUE(std::isnan(got.mean_gap));
}

TEST(FactorInformation, RejectsInvalidFactors) {
  const PosteriorRows q = codes(1, 0.0, [](size_t, size_t) { return 0.0; });
  expect_data_error([&] { analyze_factors(q, Floats(kRows - 1), 1); },
                    "got 319 rows, expected 320");
  expect_data_error([&] { analyze_factors(q, Floats(kRows + 1), 2); }, "one row or more of 2");
  Floats bad(kRows);
  bad[7] = std::numeric_limits<float>::infinity();
  expect_data_error([&] { analyze_factors(q, bad, 1); }, "number 7 is inf");
}

TEST(BinFactor, SeparatesFewValues) {
  EXPECT_EQ(bin_factor(Floats{2.5f, -1.0f, 2.5f, 7.0f}), (std::vector<int32_t>{1, 0, 1, 2}));
  EXPECT_EQ(bin_factor(Floats{4.0f}), (std::vector<int32_t>{0}));
}

TEST(BinFactor, DividesManyValuesEqually) {
  Floats values;
  for (int i = 0; i < 200; ++i) values.push_back(static_cast<float>(i * 37 % 200));
  const std::vector<int32_t> bins = bin_factor(values);
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(bins[i], static_cast<int32_t>(values[i]) / 10);
}

TEST(BinFactor, KeepsEqualValuesTogether) {
  // Half of the rows are 0 and fill one bin; the 50 other values fill ten of the 20 bins.
  Floats values(50, 0.0f);
  for (int i = 1; i <= 50; ++i) values.push_back(static_cast<float>(i));
  const std::vector<int32_t> bins = bin_factor(values);
  for (size_t i = 0; i < 50; ++i) EXPECT_EQ(bins[i], 0);
  EXPECT_EQ(bins.back(), 10);
}

}  // namespace
}  // namespace elbo
