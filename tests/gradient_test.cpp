// The gradient of a whole model, as training computes it, is the slope of the loss that training
// reports: for every likelihood on the list, both kinds of posterior variance, and every tensor.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "tests/slope.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

class Slope {
 public:
  Slope(const std::string& likelihood, const std::string& posterior_variance)
      : training_(config(likelihood, posterior_variance), small_data(8), false, true) {
    // Outputs start at the data's mean and variance, as in a training, and small numbers are added
    // everywhere: nothing sits at a special place.
    const ColumnStatistics statistics = column_statistics(small_data(8).split("train"), kSmallDim);
    weights_ = training_.model.architecture.initial_weights(1, &statistics);
    const std::vector<float> shift = uniform_floats(weights_.size(), -0.2f, 0.2f, 3);
    for (const Parameter& p : parameters())
      for (int64_t i = p.offset; i < p.offset + p.count(); ++i)
        weights_[static_cast<size_t>(i)] += shift[static_cast<size_t>(i)];
    Buffer<float>& epsilon = training_.pass.epsilon();
    epsilon.upload(uniform_floats(epsilon.size(), -2.0f, 2.0f, 4));
  }

  const std::vector<Parameter>& parameters() const {
    return training_.model.architecture.layout().parameters();
  }
  std::vector<float> gradient() {
    loss_at(weights_);
    return training_.gradients();
  }

  FiniteDifference along(const std::vector<double>& direction) {
    return slope_along(weights_, direction, [&](const auto& weights) { return loss_at(weights); });
  }

 private:
  static Config config(const std::string& likelihood, const std::string& posterior_variance) {
    Config config = small_config();
    apply_setting(config, "likelihood", likelihood);
    apply_setting(config, "posterior-variance", posterior_variance);
    config.mse_variance = 0.5;
    config.beta = 0.7;
    return config;
  }
  double loss_at(const std::vector<float>& weights) {
    training_.model.set_weights(weights);
    const StepRecord record = training_.step();
    return record.terms[0] + record.beta * static_cast<double>(record.terms[1]);
  }

  SmallTraining training_;
  std::vector<float> weights_;
};

using Case = std::tuple<std::string, std::string>;  // likelihood, posterior variance

class Gradient : public testing::TestWithParam<Case> {};

TEST_P(Gradient, IsTheSlopeOfTheLossInEveryTensor) {
  Slope slope(std::get<0>(GetParam()), std::get<1>(GetParam()));
  const std::vector<float> gradient = slope.gradient();
  for (const Parameter& p : slope.parameters()) {
    const double norm = gradient_norm(gradient, p);
    EXPECT_GT(norm, 1e-3) << p.name << " has no gradient";
    for (unsigned seed = 0; seed < 3; ++seed) {
      const auto [direction, expected] = probe_direction(gradient, p, seed);
      const auto [got, error] = slope.along(direction);
      EXPECT_NEAR(expected, got, error) << p.name;
      EXPECT_LT(error, 0.02 * norm + 1e-3) << p.name << ": no proof";
    }
  }
}

std::vector<std::string> likelihoods() {
  return {math::Likelihoods::names.begin(), math::Likelihoods::names.end()};
}

INSTANTIATE_TEST_SUITE_P(Lists, Gradient,
                         testing::Combine(testing::ValuesIn(likelihoods()),
                                          testing::Values("input", "shared")),
                         [](const auto& pair) {
                           std::string name =
                               std::get<0>(pair.param) + "_" + std::get<1>(pair.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace elbo
