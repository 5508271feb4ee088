// Analyses of models whose weights are chosen so that every result is known in closed form.
#include "host/analysis/analysis.hpp"

#include <algorithm>
#include <cmath>

#include "host/train/evaluator.hpp"
#include "tests/small_training.hpp"
#include "tests/tables.hpp"

namespace elbo {
namespace {

constexpr size_t kLatent = 6;  // noise is drawn in groups of four: one full and one partial group
constexpr size_t kRows = 400;

/// A model that ignores its input: all its weights are zero except the given biases.
Model constant_model(Config config, const std::string& biases = "",
                     const std::vector<float>& values = {}, int32_t classes = 0) {
  config.hidden = {};
  config.latent_dim = kLatent;
  Model model(config, {{kSmallDim}, DType::f32, classes}, make_cpu_device(1),
              Model::Purpose::inference);
  if (biases.empty()) return model;
  std::vector<float> weights(static_cast<size_t>(model.architecture.layout().size()));
  const auto at = model.architecture.layout().find(biases)->offset;
  std::ranges::copy(values, weights.begin() + at);
  model.set_weights(weights);
  return model;
}

/// A Gaussian bottleneck whose q(z|x) has these parameters for every x.
Model constant_posterior(float mean, float log_variance) {
  std::vector<float> biases(2 * kLatent, mean);
  std::fill(biases.begin() + kLatent, biases.end(), log_variance);
  return constant_model(small_config(), "posterior.bias", biases);
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

TEST(Analysis, PosteriorEqualToPriorHasNoInformation) {
  const Dataset data = small_data(kRows);
  const Analysis got = analyze(constant_posterior(0.0f, 0.0f), data.split("train"));
  EXPECT_EQ(got.count, static_cast<int64_t>(kRows));
  EXPECT_EQ(got.posterior.value().total_kl, 0.0);
  EXPECT_EQ(got.posterior->kl, std::vector<double>(kLatent));
  expect_equal(got.posterior->entropy, 0.5 * kLatent * (1.0 + std::log(2.0 * std::numbers::pi)),
               kLatent * kRows, 16.0);
  const CodeAnalysis& codes = got.codes.value();
  EXPECT_EQ(codes.largest_mean, 0.0);
  expect_equal(codes.largest_covariance, 0.0, kRows, 1.0);
  expect_equal(codes.moment_kl, 0.0, kRows * kLatent, 1.0);
  EXPECT_GT(codes.ks_p_value, 1e-3);
  EXPECT_FALSE(codes.zeros.has_value());
  EXPECT_FALSE(got.classes.has_value());
  EXPECT_NEAR(got.aggregate.value().mutual_information.value, 0.0, 1e-12);
  EXPECT_NEAR(got.aggregate->prior_kl.value, 0.0, 1e-12);
  EXPECT_FALSE(got.factors.has_value());
}

TEST(Analysis, ConstantPosteriorEqualsAggregate) {
  const Dataset data = small_data(kRows);
  const auto log_variance = static_cast<float>(2.0 * std::log(2.0));
  const double variance = std::exp(static_cast<double>(log_variance));
  const Analysis got = analyze(constant_posterior(3.0f, log_variance), data.split("train"));
  // KL per dimension: (3^2 + v - 1 - log v) / 2, both for each row and for the aggregate posterior.
  const double kl = 0.5 * kLatent * (8.0 + variance - log_variance);
  expect_equal(got.posterior.value().total_kl, kl, kLatent * kRows, kl);
  const CodeAnalysis& codes = got.codes.value();
  expect_equal(codes.moment_kl, kl, kLatent * kRows, kl);
  expect_equal(codes.largest_mean, 3.0, kRows, 3.0);
  expect_equal(codes.largest_covariance, variance - 1.0, kRows, 4.0);
  EXPECT_EQ(codes.covariance_row, codes.covariance_column);
  // The statistic of draws from N(3, v) is the distance between N(3, v) and N(0, 1), up to
  // sup |F_n - F|, which exceeds 2.5 / sqrt(n) once in 10^5.
  double distance = 0.0;
  for (double x = -4.0; x < 12.0; x += 1e-3)
    distance = std::max(distance, normal_cdf(x) - normal_cdf((x - 3.0) / std::sqrt(variance)));
  std::vector<double> statistics;
  for (const KolmogorovSmirnov& ks : codes.ks) {
    EXPECT_NEAR(ks.statistic, distance, 2.5 / std::sqrt(kRows));
    EXPECT_LT(ks.p_value, 1e-6);
    statistics.push_back(ks.statistic);
  }
  // Each dimension draws its own noise, so no two statistics are equal.
  std::ranges::sort(statistics);
  EXPECT_EQ(std::ranges::adjacent_find(statistics), statistics.end());
}

// The engine clamps log-variances to ±16, and an analysis must use the clamped values.
TEST(Analysis, ClampsLogVariances) {
  const Dataset data = small_data(8);
  for (const float log_variance : {-30.0f, 20.0f}) {
    const Model model = constant_posterior(0.0f, log_variance);
    const double kl = Evaluator(model, data.split("train")).evaluate().kl.value;
    const Analysis got = analyze(model, data.split("train"));
    EXPECT_NEAR(got.posterior.value().total_kl, kl, 1e-6 * kl);
    EXPECT_NEAR(got.codes.value().moment_kl, kl, 1e-6 * kl);
  }
}

TEST(Analysis, RejectsNanCodes) {
  const Dataset data = small_data(8);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  expect_data_error([&] { analyze(constant_posterior(nan, 0.0f), data.split("train")); },
                    "means of q(z|x): number 0 is nan");
  expect_data_error([&] { analyze(constant_posterior(0.0f, nan), data.split("train")); },
                    "log-variances of q(z|x): number 0 is nan");
}

TEST(Analysis, ZeroCodesHaveNoDensity) {
  Config config = small_config();
  config.bottleneck = Bottleneck::deterministic;
  config.likelihood = math::Likelihood::of<math::Mse>();
  config.samples = 1;
  const Dataset data = small_data(20);
  const Analysis got = analyze(constant_model(config), data.split("train"));
  EXPECT_FALSE(got.posterior.has_value());
  const CodeAnalysis& codes = got.codes.value();
  EXPECT_EQ(codes.zeros, 1.0);
  EXPECT_EQ(codes.moment_kl, std::numeric_limits<double>::infinity());
  EXPECT_EQ(codes.largest_covariance, 1.0);
  EXPECT_EQ(codes.ks.front().statistic, 0.5);
}

TEST(Analysis, UnitsWithVaryingMeansAreActive) {
  // mu_j = c_j x_j with x uniform, so the variance of mu_j is c^2 / 12 in expectation, and exactly
  // c^2 times the sample variance of these rows.
  const Dataset data = small_data(kRows);
  Config config = small_config();
  config.hidden = {};
  config.latent_dim = 4;
  Model model(config, {{kSmallDim}, DType::f32, 0}, make_cpu_device(1), Model::Purpose::inference);
  std::vector<float> weights(static_cast<size_t>(model.architecture.layout().size()));
  const auto at = model.architecture.layout().find("posterior.weight")->offset;  // [8, kSmallDim]
  const float scales[] = {1.0f, 0.3f, 0.4f, 0.0f};
  for (int64_t j = 0; j < 4; ++j)
    weights[static_cast<size_t>(at + j * (kSmallDim + 1))] = scales[j];
  model.set_weights(weights);
  const Analysis got = analyze(model, data.split("train"));
  const Moments inputs =
      moments(Doubles(static_cast<const float*>(data.split("train").rows),
                      static_cast<const float*>(data.split("train").rows) + kRows * kSmallDim),
              kSmallDim);
  for (size_t j = 0; j < 4; ++j)
    EXPECT_NEAR(got.posterior.value().mean_variance[j],
                scales[j] * scales[j] * inputs.covariance[j * (kSmallDim + 1)], 1e-6);
  // 0.3^2 / 12 < 0.01 < 0.4^2 / 12.
  EXPECT_EQ(got.posterior->inactive, (std::vector<size_t>{1, 3}));
  EXPECT_EQ(Evaluator(model, data.split("train")).evaluate().active_units, 2);
  ASSERT_EQ(got.findings.size(), 1u);
  EXPECT_EQ(got.findings[0].severity, Finding::Severity::note);
  EXPECT_NE(got.findings[0].text.find("2 of 4 units are inactive: z1 and z3."), std::string::npos)
      << got.findings[0].text;
}

TEST(Analysis, ReportsCollapsedPosteriorWithRemedies) {
  const Dataset data = small_data(40);
  Config config = small_config();
  config.beta = 20.0;
  for (const float mean : {0.0f, 2.0f}) {  // collapse to any constant posterior counts
    const Analysis got =
        analyze(constant_model(config, "posterior.bias", std::vector<float>(kLatent, mean)),
                data.split("train"));
    ASSERT_EQ(got.findings.size(), 1u);
    EXPECT_EQ(got.findings[0].severity, Finding::Severity::warning);
    for (const char* word : {"posterior has collapsed", "of 6 units none", "smaller --beta than 20",
                             "--kl-warmup-epochs", "--free-bits", "--objective iwae", "--epochs"})
      EXPECT_NE(got.findings[0].text.find(word), std::string::npos) << got.findings[0].text;
  }
  config.beta = 1.0;
  config.kl_warmup_epochs = 5.0;
  const std::string text = analyze(constant_model(config), data.split("train")).findings[0].text;
  for (const char* word : {"--beta", "--kl-warmup-epochs"})
    EXPECT_EQ(text.find(word), std::string::npos) << text;
}

/// A decoder with zero means and these log-variances; z_0 = x_0 is added to that of element 0.
Model biased_decoder(const std::vector<float>& log_variances) {
  Config config = small_config();
  config.hidden = {};
  config.latent_dim = 1;
  config.likelihood = math::Likelihood::of<math::Gaussian>();
  Model model(config, {{kSmallDim}, DType::f32, 0}, make_cpu_device(1), Model::Purpose::inference);
  const ParameterLayout& layout = model.architecture.layout();
  std::vector<float> weights(static_cast<size_t>(layout.size()));
  weights[static_cast<size_t>(layout.find("posterior.weight")->offset)] = 1.0f;  // [2, kSmallDim]
  weights[static_cast<size_t>(layout.find("likelihood.weight")->offset + kSmallDim)] = 1.0f;
  std::ranges::copy(log_variances,
                    weights.begin() + layout.find("likelihood.bias")->offset + kSmallDim);
  model.set_weights(weights);
  return model;
}

TEST(Analysis, FindsVariancesAtTheirFloor) {
  const Dataset data = small_data(kRows);
  const Split& rows = data.split("train");
  // Element 0 is at the floor if x_0 <= 1/2; elements 2 and 3 always are.
  const Analysis got = analyze(biased_decoder({-16.5f, 0.0f, -16.0f, -30.0f, 2.0f}), rows);
  const DecoderVariance& decoder = got.decoder.value();
  const auto* x = static_cast<const float*>(rows.rows);
  double low = 0.0, mean = 0.0, largest = 0.0;
  for (size_t row = 0; row < kRows; ++row) {
    const double deviation = std::exp(0.5 * std::max(-16.0, x[row * kSmallDim] - 16.5));
    low += x[row * kSmallDim] <= 0.5f ? 1.0 / kRows : 0.0;
    mean += deviation / kRows;
    largest = std::max(largest, deviation);
  }
  ASSERT_EQ(decoder.floor_part.size(), static_cast<size_t>(kSmallDim));
  EXPECT_NEAR(decoder.floor_part[0], low, 1e-12);
  EXPECT_EQ(decoder.floor_part[1], 0.0);
  EXPECT_EQ(decoder.floor_part[4], 0.0);
  EXPECT_EQ(decoder.always_at_floor, (std::vector<size_t>{2, 3}));
  EXPECT_NEAR(decoder.total_floor_part, (2.0 + low) / 5.0, 1e-12);
  const double floor = std::exp(-8.0);
  EXPECT_NEAR(smallest_deviation(), floor, 1e-12);
  const double want[] = {floor, 1.0, floor, floor, std::exp(1.0)};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(decoder.smallest[i], want[i], 1e-6 * want[i]);
    if (i == 0) continue;
    EXPECT_NEAR(decoder.mean[i], want[i], 1e-6 * want[i]);
    EXPECT_NEAR(decoder.largest[i], want[i], 1e-6 * want[i]);
  }
  // One ulp of a float log-variance just above -16 is 2^-20.
  EXPECT_NEAR(decoder.mean[0], mean, 0x1p-19 * mean);
  EXPECT_NEAR(decoder.largest[0], largest, 0x1p-19 * largest);
  const auto warns = [](const Finding& finding) {
    return finding.severity == Finding::Severity::warning &&
           finding.text.find("2 of 5 elements always") != std::string::npos &&
           finding.text.find("gaussian-shared") != std::string::npos;
  };
  EXPECT_EQ(std::ranges::count_if(got.findings, warns), 1);
}

TEST(Analysis, SharedVarianceIsOneNumber) {
  const Dataset data = small_data(8);
  const Model model = constant_model(small_config(), "likelihood.log_variance", {-1.0f});
  const DecoderVariance decoder = analyze(model, data.split("train")).decoder.value();
  EXPECT_EQ(decoder.mean.size(), 1u);
  EXPECT_NEAR(decoder.mean[0], std::exp(-0.5), 1e-6);
  EXPECT_EQ(decoder.total_floor_part, 0.0);
  const Analysis low = analyze(constant_model(small_config(), "likelihood.log_variance", {-17.0f}),
                               data.split("train"));
  EXPECT_EQ(low.decoder.value().total_floor_part, 1.0);
  Config bernoulli = small_config();
  bernoulli.likelihood = math::Likelihood::of<math::Bernoulli>();
  EXPECT_FALSE(analyze(constant_model(bernoulli), data.split("train")).decoder.has_value());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  expect_data_error(
      [&] {
        analyze(constant_model(small_config(), "likelihood.log_variance", {nan}),
                data.split("train"));
      },
      "log-variances: element 0 is nan");
}

TEST(Analysis, ReportsVariancePerChannel) {
  const Shape shape = {2, 2, 3};
  const Dataset data = Dataset::from_rows(uniform_floats(8 * 12, 0.0f, 1.0f, 1), shape,
                                          {.validation_fraction = 0.0});
  Config config = small_config();
  config.likelihood = math::Likelihood::of<math::GaussianChannel>();
  Model model(config, {shape, DType::f32, 0}, make_cpu_device(1), Model::Purpose::inference);
  std::vector<float> weights(static_cast<size_t>(model.architecture.layout().size()));
  const Parameter* log_variance = model.architecture.layout().find("likelihood.log_variance");
  ASSERT_EQ(log_variance->count(), 3);
  const float values[] = {-1.0f, -17.0f, 2.0f};
  std::ranges::copy(values, weights.begin() + log_variance->offset);
  model.set_weights(weights);
  const Analysis got = analyze(model, data.split("train"));
  const DecoderVariance& decoder = got.decoder.value();
  EXPECT_EQ(decoder.scope, DecoderVariance::Scope::channel);
  ASSERT_EQ(decoder.mean.size(), 3u);
  const double want[] = {std::exp(-0.5), std::exp(-8.0), std::exp(1.0)};
  for (size_t channel = 0; channel < 3; ++channel)
    EXPECT_NEAR(decoder.mean[channel], want[channel], 1e-6 * want[channel]);
  EXPECT_EQ(decoder.always_at_floor, std::vector<size_t>{1});
  EXPECT_NEAR(decoder.total_floor_part, 1.0 / 3.0, 1e-12);
  const auto warns = [](const Finding& finding) {
    return finding.text.find("in 1 of 3 channels") != std::string::npos;
  };
  EXPECT_EQ(std::ranges::count_if(got.findings, warns), 1);
}

TEST(Analysis, FactorsRequireAPosterior) {
  const Dataset data = small_data(8);
  AnalysisOptions options;
  options.factors = Factors{1, std::vector<float>(8)};
  EXPECT_EQ(
      analyze(constant_posterior(0.0f, 0.0f), data.split("train"), options).factors.value().factors,
      1u);
  options.factors->values.pop_back();
  expect_data_error([&] { analyze(constant_posterior(0.0f, 0.0f), data.split("train"), options); },
                    "got 7 rows, expected 8");
  Config config = small_config();
  config.bottleneck = Bottleneck::deterministic;
  config.likelihood = math::Likelihood::of<math::Mse>();
  config.samples = 1;
  EXPECT_THROW(analyze(constant_model(config), data.split("train"), options), ConfigError);
}

Config classifier_config() {
  Config config = small_config();
  config.bottleneck = Bottleneck::none;
  config.likelihood = std::nullopt;
  config.classifier = math::ClassLoss::of<math::CrossEntropy>();
  config.samples = 1;
  return config;
}

/// Eight rows with the labels 0 0 0 0 1 1 2 2.
Dataset labelled_data() {
  return Dataset::from_rows(uniform_floats(8 * kSmallDim, 0.0f, 1.0f, 1), {kSmallDim},
                            {.validation_fraction = 0.0}, {0, 0, 0, 0, 1, 1, 2, 2});
}

TEST(Analysis, ConstantClassHasNoInformationAboutTheLabel) {
  const Dataset data = labelled_data();
  constexpr double e = std::numbers::e;
  const auto p = [](double odds) { return odds / (1.0 + e + 1.0); };
  const Model model =
      constant_model(classifier_config(), "classifier.output.bias", {0.0f, 1.0f, 0.0f}, 3);
  const Analysis got = analyze(model, data.split("train"));
  EXPECT_FALSE(got.posterior.has_value());
  EXPECT_FALSE(got.codes.has_value());
  const ClassAnalysis& classes = got.classes.value();
  // The odds of the classes are 1 : e : 1; probabilities are computed in float.
  const double entropy = -2.0 * p(1.0) * std::log(p(1.0)) - p(e) * std::log(p(e));
  EXPECT_NEAR(classes.prediction_entropy, entropy, 1e-6);
  const ClassAnalysis::Labels& labels = classes.labels.value();
  EXPECT_EQ(labels.confusion, (std::vector<int64_t>{0, 4, 0, 0, 2, 0, 0, 2, 0}));
  // Label entropy: 1/2 log 2 + 2 * 1/4 log 4.
  expect_equal(labels.entropy, 1.5 * std::log(2.0), 3, 2.0);
  expect_equal(labels.mutual_information, 0.0, 9, 2.0);
}

TEST(Analysis, UsesTheLabelsOfTheSplit) {
  const Dataset data = labelled_data();
  Split split = data.split("train");
  split.index = {3, 4, 6, 7};
  const Model model = constant_model(classifier_config(), "", {}, 3);
  const Analysis some = analyze(model, split);
  EXPECT_EQ(some.count, 4);
  EXPECT_EQ(some.classes.value().labels.value().confusion,
            (std::vector<int64_t>{1, 0, 0, 1, 0, 0, 2, 0, 0}));

  split.labels = {};
  EXPECT_FALSE(analyze(model, split).classes.value().labels.has_value());
  split.labels = {0, 1, 2, 3, 0, 0, 0, 0};
  expect_data_error([&] { analyze(model, split); }, "label 3");
}

}  // namespace
}  // namespace elbo
