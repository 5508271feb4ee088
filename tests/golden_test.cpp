// The engine in float against the PyTorch twin in double, on the same weights, batch and noise:
// forward, every gradient, and 20 steps of training.
//
// Bounds, in units of float's epsilon. A value or gradient is reached through at most eight matrix
// products (four layers there, four back) of at most 33 terms: some 260 roundings of half a unit in
// the last place, relative to the largest number among those added. Independent as they are, they
// add up to 0.29 sqrt(260) = 4.7 standard units; kRoundings is three and a half of that, of the
// largest element of the tensor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "host/train/training_pass.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/golden.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
constexpr double kRoundings = 16.0;

std::vector<fs::path> cases() {
  std::vector<fs::path> files;
  std::error_code missing;  // then the list is too short, and the first test fails
  for (const fs::directory_entry& entry : fs::directory_iterator(golden_folder(), missing))
    if (!entry.path().stem().string().ends_with("_points")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

Config config_of(const GoldenFile& golden) {
  Config config;
  for (const char* key :
       {"hidden", "latent-dim", "activation", "likelihood", "mse-variance", "posterior-variance",
        "samples", "beta", "optimizer", "learning-rate", "weight-decay", "momentum", "clip-norm",
        "objective", "epsilon", "second-moment-start", "loss-reduction"}) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '-', '_');
    apply_setting(config, key, golden.setting(name));
  }
  apply_setting(config, "batch-size", golden.setting("batch"));
  config.binarize = config.dequantize = "none";
  config.precision = "fp32";
  return config;
}

double largest(const std::vector<double>& values) {
  double magnitude = 0.0;
  for (const double v : values) magnitude = std::max(magnitude, std::abs(v));
  return magnitude;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& want,
                 const std::vector<double>& bound, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double worst = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], bound[i]) << what << ", element " << i;
    worst = std::max(worst, std::abs(got[i] - want[i]) / bound[i]);
  }
  testing::Test::RecordProperty(what, std::to_string(worst));
}

void expect_near(const std::vector<float>& got, const std::vector<double>& want,
                 const std::string& what) {
  const double bound = kRoundings * kEpsilon * largest(want);
  expect_near(got, want, std::vector<double>(want.size(), bound), what);
}

class Golden : public testing::TestWithParam<fs::path> {
 protected:
  Golden()
      : golden_(GetParam()),
        config_(config_of(golden_)),
        dim_(std::stoll(golden_.setting("dim"))),
        data_(Dataset::from_rows(golden_.floats("x"), {dim_}, {.validation_fraction = 0.0})),
        model_(config_, {{dim_}, DType::f32}, device_under_test(), Model::Purpose::training),
        pass_(model_, data_.split("train"),
              {.plan = step_plan(config_, config_.batch_size),
               .shuffle = false,
               .external_epsilon = true}) {
    std::vector<float> weights(static_cast<size_t>(model_.architecture.layout().size()));
    for (const Parameter& p : model_.architecture.layout().parameters()) {
      const std::vector<float> initial = golden_.floats("initial." + p.name);
      EXPECT_EQ(initial.size(), static_cast<size_t>(p.count())) << p.name;
      std::copy(initial.begin(), initial.end(), weights.begin() + p.offset);
    }
    model_.set_weights(weights);
    model_.arena.second_moments.upload(std::vector<float>(
        model_.arena.second_moments.size(), static_cast<float>(config_.second_moment_start)));
  }

  void run_step(size_t step) {
    const std::vector<float> epsilon = golden_.floats("epsilon");
    const size_t count =
        static_cast<size_t>(config_.batch_size * config_.samples * config_.latent_dim);
    pass_.epsilon().upload(std::span(epsilon).subspan(step * count, count));
    pass_.run(1);
  }
  double loss() const {
    const StepRecord record = pass_.records(1).front();
    if (config_.objective == "iwae") return -record.terms[0];
    return record.terms[0] + record.beta * static_cast<double>(record.terms[1]);
  }

  std::vector<float> floats(const float* from, int64_t count) const {
    std::vector<float> values(static_cast<size_t>(count));
    model_.device->download(values.data(), from, values.size() * sizeof(float));
    return values;
  }
  std::vector<float> part(const Buffer<float>& arena, const Parameter& p) const {
    return arena.download(static_cast<size_t>(p.offset), static_cast<size_t>(p.count()));
  }
  template <class AnOp>
  const AnOp& op() const {
    for (const Op& op : pass_.program())
      if (const auto* found = std::get_if<AnOp>(&op)) return *found;
    throw std::logic_error("no such op");
  }

  /// How far rounding may carry each element of a parameter in all steps together.
  std::vector<double> drift(const Parameter& p) const {
    const auto gradient = golden_.values("gradient." + p.name);
    const auto final = golden_.values("final." + p.name);
    const int steps = std::stoi(golden_.setting("steps"));
    const double reduction =
        config_.loss_reduction == "sum" ? static_cast<double>(config_.batch_size) : 1.0;
    const double gradient_error = reduction * kRoundings * kEpsilon * largest(gradient);
    std::vector<double> bounds;
    for (size_t i = 0; i < gradient.size(); ++i) {
      double bound = steps * kEpsilon * (std::abs(final[i]) + config_.learning_rate);
      for (int step = 1; step <= steps; ++step) {
        bound += config_.learning_rate * gain(gradient[i], step) * gradient_error;
      }
      bounds.push_back(bound);
    }
    return bounds;
  }

  /// How much of an error in a gradient whose first was g a step makes, in learning rates: sgd's
  /// momentum repeats it 1/(1 - m) times; Adam divides by the root of its second moment, which g
  /// keeps above |g| / sqrt(step) (Adagrad's sum above |g|) and the golden files' makers keep above
  /// 1e-3. A second moment that starts at 1 stays above 0.98, where the corrections, uncorrected
  /// epsilon's sqrt(1 - 0.999^t) / (1 - 0.9^t), are below 0.32.
  double gain(double g, int step) const {
    if (config_.optimizer == "sgd") return 1.0 / (1.0 - config_.momentum);
    if (config_.second_moment_start == 1.0) return 0.33;
    return 2.0 / std::max(1e-3, std::abs(g) / std::sqrt(step));
  }

  GoldenFile golden_;
  Config config_;
  int64_t dim_;
  Dataset data_;
  Model model_;
  TrainingPass pass_;
};

TEST_P(Golden, ForwardAndGradients) {
  run_step(0);
  const LatentForward& latent = op<LatentForward>();
  const int64_t rows = config_.batch_size * config_.samples;
  expect_near(floats(op<LikelihoodTerms>().nll, rows), golden_.values("nll"), "nll");
  expect_near(floats(latent.kl, config_.batch_size), golden_.values("kl"), "kl");
  std::vector<float> mean;
  for (int64_t b = 0; b < config_.batch_size; ++b)
    for (const float v :
         floats(latent.posterior.mu + b * latent.posterior.mu_stride, latent.latent))
      mean.push_back(v);
  expect_near(mean, golden_.values("posterior_mean"), "posterior_mean");
  for (const Parameter& p : model_.architecture.layout().parameters())
    expect_near(part(model_.arena.gradients, p), golden_.values("gradient." + p.name), p.name);
}

TEST_P(Golden, TwentySteps) {
  const std::vector<double> losses = golden_.values("losses");
  ASSERT_EQ(losses.size(), 20u);
  // A loss inherits what its weights have drifted, each by its gradient, in random directions.
  double inherited = 0.0;
  for (const Parameter& p : model_.architecture.layout().parameters()) {
    const std::vector<double> bounds = drift(p), gradient = golden_.values("gradient." + p.name);
    for (size_t i = 0; i < bounds.size(); ++i)
      inherited += bounds[i] * bounds[i] * gradient[i] * gradient[i];
  }
  const double bound = kRoundings * kEpsilon * largest(losses) + std::sqrt(inherited);
  for (size_t step = 0; step < losses.size(); ++step) {
    run_step(step);
    EXPECT_NEAR(loss(), losses[step], bound) << "step " << step;
  }
  RecordProperty("loss_bound", std::to_string(bound));
  for (const Parameter& p : model_.architecture.layout().parameters())
    expect_near(part(model_.arena.weights, p), golden_.values("final." + p.name), drift(p), p.name);
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(cases()),
                         [](const auto& file) { return file.param.stem().string(); });

TEST(GoldenFolder, CoversTheLists) {
  std::set<std::string> seen;
  for (const fs::path& path : cases()) {
    const GoldenFile golden(path);
    for (const char* key :
         {"likelihood", "activation", "optimizer", "posterior_variance", "objective"})
      seen.insert(golden.setting(key));
  }
  for (const char* name : {"input", "shared", "elbo", "iwae"}) EXPECT_TRUE(seen.contains(name));
  const auto expect_all = [&](const auto& names) {
    for (const std::string_view name : names) EXPECT_TRUE(seen.contains(std::string(name))) << name;
  };
  expect_all(math::Likelihoods::names);
  expect_all(math::Activations::names);
  expect_all(math::Optimizers::names);
}

}  // namespace
}  // namespace elbo
