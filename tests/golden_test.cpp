// The engine in float against the PyTorch twin in double, on the same weights, batch and noise:
// forward, every gradient, and 20 steps of training.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "host/train/training_pass.hpp"
#include "tests/cuda_backends.hpp"
#include "tests/golden.hpp"

namespace elbo {
namespace {

constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

/// The file's settings, except the test's own.
Config config_of(const GoldenFile& golden) {
  Config config;
  for (const auto& [name, value] : golden.settings()) {
    if (name == "shape" || name == "steps" || name == "terms") continue;
    std::string key = name == "batch" ? "batch-size" : name;
    std::replace(key.begin(), key.end(), '_', '-');
    apply_setting(config, key, value);
  }
  config.binarize = Binarization::none;
  config.dequantize = Dequantization::none;
  config.precision = ChosenPrecision::fp32;
  return config;
}

Shape shape_of(const GoldenFile& golden) {
  std::istringstream list(golden.setting("shape"));
  Shape shape;
  for (std::string size; std::getline(list, size, ',');) shape.push_back(std::stoll(size));
  return shape;
}

class Golden : public testing::TestWithParam<std::filesystem::path> {
 protected:
  Golden()
      : golden_(GetParam()),
        config_(config_of(golden_)),
        rounding_(rounding_of(std::stod(golden_.setting("terms")))),
        data_(Dataset::from_rows(golden_.floats("x"), shape_of(golden_),
                                 {.validation_fraction = 0.0})),
        model_(config_, {data_.sample_shape(), DType::f32}, device_under_test(),
               Model::Purpose::training) {
    std::vector<float> weights(static_cast<size_t>(model_.architecture.layout().size()));
    for (const Parameter& p : model_.architecture.layout().parameters()) {
      const std::vector<float> initial = golden_.floats("initial." + p.name);
      EXPECT_EQ(initial.size(), static_cast<size_t>(p.count())) << p.name;
      std::copy(initial.begin(), initial.end(), weights.begin() + p.offset);
    }
    model_.set_weights(weights);
    model_.arena.second_moments.upload(std::vector<float>(
        model_.arena.second_moments.size(), static_cast<float>(config_.adam_second_moment_init)));
  }

  void start(bool keep_gradients) {
    pass_ = std::make_unique<TrainingPass>(
        model_, data_.split("train"),
        TrainingPass::Options{.plan = step_plan(config_, config_.batch_size),
                              .optimizer = config_,
                              .shuffle = false,
                              .external_epsilon = true,
                              .keep_gradients = keep_gradients});
  }
  void run_step(size_t step) {
    const std::vector<float> epsilon = golden_.floats("epsilon");
    const size_t count =
        static_cast<size_t>(config_.batch_size * config_.samples * config_.latent_dim);
    pass_->epsilon().upload(std::span(epsilon).subspan(step * count, count));
    pass_->run(1);
  }
  double loss() const {
    const StepRecord record = pass_->records(1).front();
    if (config_.objective == Objective::iwae) return -record.terms[0];
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
    for (const Op& op : pass_->program())
      if (const auto* found = std::get_if<AnOp>(&op)) return *found;
    throw std::logic_error("no such op");
  }

  /// How far rounding may carry each element of a parameter in all steps together.
  std::vector<double> drift(const Parameter& p) const {
    const auto gradient = golden_.values("gradient." + p.name);
    const auto final = golden_.values("final." + p.name);
    const int steps = std::stoi(golden_.setting("steps"));
    const double reduction = config_.loss_reduction == LossReduction::sum
                                 ? static_cast<double>(config_.batch_size)
                                 : 1.0;
    const double gradient_error = reduction * rounding_ * largest(gradient);
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
    if (config_.optimizer == math::Optimizer::of<math::Sgd>())
      return 1.0 / (1.0 - config_.momentum);
    if (config_.adam_second_moment_init == 1.0) return 0.33;
    return 2.0 / std::max(1e-3, std::abs(g) / std::sqrt(step));
  }

  GoldenFile golden_;
  Config config_;
  double rounding_;  // of a value or gradient, in units of the largest of its tensor
  Dataset data_;
  Model model_;
  std::unique_ptr<TrainingPass> pass_;
};

TEST_P(Golden, ForwardAndGradients) {
  start(true);
  run_step(0);
  const LatentForward& latent = op<LatentForward>();
  const int64_t rows = config_.batch_size * config_.samples;
  expect_near(floats(op<LikelihoodTerms>().nll, rows), golden_.values("nll"), rounding_, "nll");
  expect_near(floats(latent.kl, config_.batch_size), golden_.values("kl"), rounding_, "kl");
  std::vector<float> mean;
  for (int64_t b = 0; b < config_.batch_size; ++b)
    for (const float v :
         floats(latent.posterior.mu + b * latent.posterior.mu_stride, latent.latent))
      mean.push_back(v);
  expect_near(mean, golden_.values("posterior_mean"), rounding_, "posterior_mean");
  for (const Parameter& p : model_.architecture.layout().parameters())
    expect_near(part(model_.arena.gradients, p), golden_.values("gradient." + p.name), rounding_,
                p.name);
}

TEST_P(Golden, TwentySteps) {
  start(false);
  const std::vector<double> losses = golden_.values("losses");
  ASSERT_EQ(losses.size(), 20u);
  // The drift of each weight changes the loss by its gradient, in random directions.
  double inherited = 0.0;
  for (const Parameter& p : model_.architecture.layout().parameters()) {
    const std::vector<double> bounds = drift(p), gradient = golden_.values("gradient." + p.name);
    for (size_t i = 0; i < bounds.size(); ++i)
      inherited += bounds[i] * bounds[i] * gradient[i] * gradient[i];
  }
  const double bound = rounding_ * largest(losses) + std::sqrt(inherited);
  for (size_t step = 0; step < losses.size(); ++step) {
    run_step(step);
    EXPECT_NEAR(loss(), losses[step], bound) << "step " << step;
  }
  RecordProperty("loss_bound", std::to_string(bound));
  for (const Parameter& p : model_.architecture.layout().parameters())
    expect_near(part(model_.arena.weights, p), golden_.values("final." + p.name), drift(p), p.name);
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(golden_files(GoldenKind::training)),
                         [](const auto& file) { return file.param.stem().string(); });

TEST(GoldenFolder, CoversTheLists) {
  std::set<std::string> seen;
  for (const auto& path : golden_files(GoldenKind::training)) {
    const GoldenFile golden(path);
    for (const char* key : {"likelihood", "activation", "optimizer", "posterior_variance",
                            "objective", "network", "downsampling", "upsampling", "normalization"})
      seen.insert(golden.setting(key));
  }
  for (const char* name : {"input", "shared", "elbo", "iwae", "conv", "strided", "average",
                           "transposed", "nearest", "bilinear", "group"})
    EXPECT_TRUE(seen.contains(name)) << name;
  const auto expect_all = [&](const auto& names) {
    for (const std::string_view name : names) EXPECT_TRUE(seen.contains(std::string(name))) << name;
  };
  expect_all(math::Likelihoods::names);
  expect_all(math::Activations::names);
  expect_all(math::Optimizers::names);
}

}  // namespace
}  // namespace elbo
