// `elbo analyze`: its numbers agree with evaluate, encode and classify, and it omits sections that
// do not apply to the model.
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "tests/program.hpp"

namespace elbo {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr double kFloatEpsilon = std::numeric_limits<float>::epsilon();
constexpr size_t kRows = 40, kLatent = 5, kClasses = 3;

/// One model of each kind, trained for an epoch on the same small images.
class Analyze : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    expect_done({"generate", "shapes", path("data"), "--train-count", "80", "--test-count",
                 std::to_string(kRows), "--size", "8"});
    train("vae", {"--likelihood", "bernoulli", "--latent-dim", "5"});
    train("adversarial-autoencoder", {"--latent-dim", "5", "--discriminator-hidden", "16"});
    train("regularized-autoencoder", {"--latent-dim", "8"});
    train("mlp-classifier", {});
  }
  static void TearDownTestSuite() { directory_.reset(); }

  static std::string path(std::string_view name) { return (*directory_ / name).string(); }
  static void train(const std::string& recipe, const Words& settings) {
    expect_done(Words{"train", path("data"), "--out", path(recipe), "--recipe", recipe, "--hidden",
                      "16", "--epochs", "1", "--batch-size", "16", "--threads", "1", "--device",
                      "cpu", "--quiet"} +
                settings);
  }

  static Json json_of(const std::string& command, const std::string& run,
                      const std::string& split = "test") {
    return Json::parse(expect_done(
        {command, path(run), path("data"), "--split", split, "--json", "--device", "cpu"}));
  }
  /// Returns the array that a command writes as .npy.
  static std::vector<float> floats_of(const std::string& command, const std::string& run,
                                      const Words& flags = {}) {
    expect_done(
        Words{command, path(run), path("data"), "--out", path("out.npy"), "--device", "cpu"} +
        flags);
    return to_floats(open_npy(path("out.npy")), path("out.npy"));
  }

  static inline std::unique_ptr<TemporaryDirectory> directory_;
};

/// Expects the "codes" object to describe a distribution with these moments.
void expect_moments(const Json& codes, const std::vector<double>& mean,
                    const std::vector<double>& covariance) {
  const size_t latent = mean.size();
  double largest_mean = 0.0, deviation = 0.0, trace = 0.0, squares = 0.0;
  for (size_t i = 0; i < latent; ++i) {
    EXPECT_NEAR(codes.at("mean")[i].get<double>(), mean[i], 1e-12);
    largest_mean = std::max(largest_mean, std::abs(mean[i]));
    squares += mean[i] * mean[i];
    trace += covariance[i * latent + i];
    for (size_t j = 0; j < latent; ++j)
      deviation = std::max(deviation, std::abs(covariance[i * latent + j] - (i == j ? 1.0 : 0.0)));
  }
  EXPECT_NEAR(codes.at("largest_mean").get<double>(), largest_mean, 1e-12);
  EXPECT_NEAR(codes.at("largest_covariance_deviation").get<double>(), deviation, 1e-12);
  // log det S, by Gaussian elimination.
  std::vector<double> rest = covariance;
  double log_determinant = 0.0;
  for (size_t k = 0; k < latent; ++k) {
    log_determinant += std::log(rest[k * latent + k]);
    for (size_t i = k + 1; i < latent; ++i)
      for (size_t j = latent; j-- > k;)
        rest[i * latent + j] -= rest[i * latent + k] / rest[k * latent + k] * rest[k * latent + j];
  }
  const double kl = 0.5 * (trace + squares - static_cast<double>(latent) - log_determinant);
  EXPECT_NEAR(codes.at("moment_kl").get<double>(), kl, 1e-9 * (1.0 + kl));
}

void expect_kolmogorov_smirnov(const Json& codes, size_t latent) {
  double largest = 0.0, smallest_p = 1.0;
  ASSERT_EQ(codes.at("ks_statistic").size(), latent);
  ASSERT_EQ(codes.at("ks_p_value").size(), latent);
  for (size_t i = 0; i < latent; ++i) {
    const double statistic = codes["ks_statistic"][i], p = codes["ks_p_value"][i];
    EXPECT_GE(statistic, 0.5 / kRows);  // Φ crosses a step of height 1 / rows
    EXPECT_LE(statistic, 1.0);
    EXPECT_GE(p, 0.0);
    EXPECT_LE(p, 1.0);
    largest = std::max(largest, statistic), smallest_p = std::min(smallest_p, p);
  }
  EXPECT_EQ(codes.at("largest_ks_statistic"), largest);
  EXPECT_EQ(codes.at("largest_ks_p_value"),
            std::min(1.0, smallest_p * static_cast<double>(latent)));
}

TEST_F(Analyze, KlMatchesEvaluate) {
  const Json evaluated = json_of("evaluate", "vae"), analyzed = json_of("analyze", "vae");
  EXPECT_EQ(analyzed.at("split"), "test");
  EXPECT_EQ(analyzed.at("count"), kRows);
  const Json& posterior = analyzed.at("posterior");
  const double kl = evaluated.at("kl");
  // Evaluation adds in float. The KL of each latent is a difference of terms near 1, so its error
  // is relative to 1.
  EXPECT_NEAR(posterior.at("kl").get<double>(), kl, 16.0 * kFloatEpsilon * (kl + kLatent));
  ASSERT_EQ(posterior.at("kl_per_dimension").size(), kLatent);
  double sum = 0.0;
  for (const Json& each : posterior["kl_per_dimension"]) {
    EXPECT_GE(each.get<double>(), 0.0);
    sum += each.get<double>();
  }
  EXPECT_NEAR(posterior["kl"].get<double>(), sum, 1e-12 * sum);
  EXPECT_FALSE(analyzed.contains("classes"));
  EXPECT_FALSE(analyzed.at("codes").contains("zeros"));
}

TEST_F(Analyze, PosteriorsMatchEncode) {
  const std::vector<float> both = floats_of("encode", "vae", {"--with-logvar"});
  ASSERT_EQ(both.size(), kRows * 2 * kLatent);
  std::vector<double> mean(kLatent), covariance(kLatent * kLatent), kl(kLatent);
  double entropy = 0.0;
  for (size_t r = 0; r < kRows; ++r)
    for (size_t i = 0; i < kLatent; ++i) {
      const double mu = both[2 * kLatent * r + i], logvar = both[2 * kLatent * r + kLatent + i];
      mean[i] += mu / kRows;
      kl[i] += 0.5 * (mu * mu + std::exp(logvar) - 1.0 - logvar) / kRows;
      entropy += 0.5 * (std::log(2.0 * std::acos(-1.0)) + 1.0 + logvar) / kRows;
      covariance[i * kLatent + i] += std::exp(logvar) / kRows;
      for (size_t j = 0; j < kLatent; ++j)
        covariance[i * kLatent + j] += mu * both[2 * kLatent * r + j] / kRows;
    }
  for (size_t i = 0; i < kLatent * kLatent; ++i)
    covariance[i] -= mean[i / kLatent] * mean[i % kLatent];

  const Json analyzed = json_of("analyze", "vae");
  for (size_t i = 0; i < kLatent; ++i)
    EXPECT_NEAR(analyzed["posterior"]["kl_per_dimension"][i].get<double>(), kl[i], 1e-12);
  EXPECT_NEAR(analyzed["posterior"].at("entropy").get<double>(), entropy, 1e-12 * kLatent);
  expect_moments(analyzed.at("codes"), mean, covariance);
  expect_kolmogorov_smirnov(analyzed["codes"], kLatent);
  // KL(N(m, S) || N(0, I)) <= KL(q(z) || N(0, I)) <= E KL(q(z|x) || N(0, I)): of all distributions
  // with these moments the Gaussian has the smallest KL, and KL is convex.
  EXPECT_LE(analyzed["codes"]["moment_kl"].get<double>(),
            analyzed["posterior"]["kl"].get<double>());
}

TEST_F(Analyze, DeterministicCodesMatchEncode) {
  const std::vector<float> z = floats_of("encode", "adversarial-autoencoder");
  ASSERT_EQ(z.size(), kRows * kLatent);
  std::vector<double> mean(kLatent), covariance(kLatent * kLatent);
  for (size_t i = 0; i < z.size(); ++i) mean[i % kLatent] += z[i] / double{kRows};
  for (size_t r = 0; r < kRows; ++r)
    for (size_t i = 0; i < kLatent * kLatent; ++i)
      covariance[i] += (z[r * kLatent + i / kLatent] - mean[i / kLatent]) *
                       (z[r * kLatent + i % kLatent] - mean[i % kLatent]) / kRows;
  const Json analyzed = json_of("analyze", "adversarial-autoencoder");
  expect_moments(analyzed.at("codes"), mean, covariance);
  expect_kolmogorov_smirnov(analyzed["codes"], kLatent);
  EXPECT_EQ(analyzed["codes"].at("zeros"), 0.0);
  EXPECT_FALSE(analyzed.contains("posterior"));
  EXPECT_FALSE(analyzed.contains("classes"));
}

TEST_F(Analyze, ZerosMatchEvaluate) {
  const Json evaluated = json_of("evaluate", "regularized-autoencoder");
  const Json analyzed = json_of("analyze", "regularized-autoencoder");
  EXPECT_GT(analyzed.at("codes").at("zeros").get<double>(), 0.0);
  EXPECT_NEAR(analyzed["codes"]["zeros"].get<double>(), evaluated.at("zero_codes").get<double>(),
              1e-12);
  EXPECT_TRUE(analyzed.contains("classes"));
}

TEST_F(Analyze, ClassesMatchClassify) {
  const std::vector<float> p = floats_of("classify", "mlp-classifier");
  ASSERT_EQ(p.size(), kRows * kClasses);
  double entropy = 0.0;
  for (const float each : p)
    if (each > 0.0f) entropy -= each * std::log(double{each}) / kRows;
  const Json analyzed = json_of("analyze", "mlp-classifier");
  EXPECT_NEAR(analyzed.at("classes").at("prediction_entropy").get<double>(), entropy, 1e-12);
  EXPECT_FALSE(analyzed.contains("posterior"));
  EXPECT_FALSE(analyzed.contains("codes"));
}

// On the train split, the labels of rows held out for validation must be skipped.
TEST_F(Analyze, ConfusionUsesTheLabelsOfTheSplit) {
  for (const char* split : {"train", "test"}) {
    SCOPED_TRACE(split);
    const Json evaluated = json_of("evaluate", "mlp-classifier", split);
    const Json analyzed = json_of("analyze", "mlp-classifier", split);
    const double count = analyzed.at("count");
    EXPECT_EQ(count, evaluated.at("count").get<double>());
    const Json& classes = analyzed.at("classes");
    double right = 0.0, all = 0.0, label_entropy = 0.0, class_entropy = 0.0, joint_entropy = 0.0;
    std::vector<double> likeliest(kClasses);
    const auto term = [&](double n) { return n > 0.0 ? -n / count * std::log(n / count) : 0.0; };
    ASSERT_EQ(classes.at("confusion").size(), kClasses);
    for (size_t label = 0; label < kClasses; ++label) {
      const std::vector<double> row = classes["confusion"][label];
      ASSERT_EQ(row.size(), kClasses);
      right += row[label];
      for (size_t i = 0; i < kClasses; ++i) joint_entropy += term(row[i]), likeliest[i] += row[i];
      const double rows = std::accumulate(row.begin(), row.end(), 0.0);
      EXPECT_GT(rows, 0.0);  // shapes are drawn uniformly: 40 rows miss a class once in 10^7
      label_entropy += term(rows);
      all += rows;
    }
    for (const double each : likeliest) class_entropy += term(each);
    EXPECT_EQ(all, count);
    EXPECT_NEAR(right / count, evaluated.at("accuracy").get<double>(), 1e-12);
    EXPECT_NEAR(classes.at("label_entropy").get<double>(), label_entropy, 1e-12);
    EXPECT_NEAR(classes.at("mutual_information").get<double>(),
                label_entropy + class_entropy - joint_entropy, 1e-12);
  }
}

TEST_F(Analyze, OutputIsDeterministic) {
  for (const char* run : {"vae", "adversarial-autoencoder", "mlp-classifier"})
    for (const Words& format : {Words{}, Words{"--json"}}) {
      const Words command = Words{"analyze", path(run), path("data"), "--device", "cpu"} + format;
      const std::string once = expect_done(command + Words{"--threads", "1"});
      EXPECT_EQ(expect_done(command + Words{"--threads", "1"}), once);
      EXPECT_EQ(expect_done(command + Words{"--threads", "2"}), once);
    }
}

TEST_F(Analyze, OutputFitsEightyColumns) {
  for (const auto& [run, words] : std::vector<std::pair<std::string, Words>>{
           {"vae", {"test: 40 rows", "q(z|x)", "by dimension", "against N(0, I)"}},
           {"regularized-autoencoder", {"against N(0, I)", "exactly 0", "entropy of the labels"}},
           {"mlp-classifier", {"test: 40 rows", "entropy of the labels"}}}) {
    const std::string output = expect_done({"analyze", path(run), path("data"), "--device", "cpu"});
    for (const std::string& word : words) EXPECT_NE(output.find(word), std::string::npos) << output;
    EXPECT_EQ(output.find("nan"), std::string::npos) << output;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST_F(Analyze, FewRowsHaveNoDensity) {
  expect_done({"generate", "shapes", path("few"), "--train-count", "8", "--test-count", "4",
               "--size", "8"});
  const Json few = Json::parse(expect_done(
      {"analyze", path("adversarial-autoencoder"), path("few"), "--json", "--device", "cpu"}));
  EXPECT_TRUE(few.at("codes").at("moment_kl").is_null()) << few;
  EXPECT_TRUE(few["codes"].at("largest_mean").is_number());
  // Each posterior of a Gaussian bottleneck has a density, so their mixture has one too.
  const Json gaussian =
      Json::parse(expect_done({"analyze", path("vae"), path("few"), "--json", "--device", "cpu"}));
  EXPECT_TRUE(gaussian.at("codes").at("moment_kl").is_number()) << gaussian;
}

TEST_F(Analyze, RejectsInvalidArguments) {
  const std::string run = path("vae"), data = path("data");
  expect_complaint({"analyze", path("none"), data}, 3, {path("none")});
  expect_complaint({"analyze", run, path("none")}, 3, {path("none")});
  expect_complaint({"analyze", run, data, "--split", "tset"}, 3, {"tset", "test"});
  expect_complaint({"analyze", run, data, "--checkpoint", "worst"}, 2, {"worst"});
  expect_complaint({"analyze", run, data, "--jsn"}, 2, {"--jsn", "--json"});
  expect_complaint({"analyze", run}, 2, {"DATASET"});
  expect_done({"generate", "shapes", path("large"), "--train-count", "8", "--test-count", "4",
               "--size", "9"});
  expect_complaint({"analyze", run, path("large")}, 3, {"9x9", "8x8"});
}

}  // namespace
}  // namespace elbo
