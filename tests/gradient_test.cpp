// The gradient of a whole model, as training computes it, is the slope of the loss that training
// reports: for every likelihood on the list, both kinds of posterior variance, and every tensor.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "tests/small_training.hpp"

namespace elbo {
namespace {

class Slope {
 public:
  Slope(const std::string& likelihood, const std::string& posterior_variance)
      : training_(config(likelihood, posterior_variance), small_data(8), false, true) {
    // Small biases and log-variances besides the weights: nothing sits at a special place.
    weights_ = training_.weights();
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

  /// Along `direction`: the quotient, with five points and hence an error of order h^4, and how far
  /// rounding and that error may carry it.
  std::pair<double, double> along(const std::vector<double>& direction) {
    constexpr double kStep = 0.02;
    double largest = 0.0;
    const auto loss = [&](double step) {
      std::vector<float> moved = weights_;
      for (size_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<float>(step * direction[i]);
      const double value = loss_at(moved);
      largest = std::max(largest, std::abs(value));
      return value;
    };
    const auto quotient = [&](double h) {
      return (8.0 * (loss(h) - loss(-h)) - (loss(2.0 * h) - loss(-2.0 * h))) / (12.0 * h);
    };
    const double value = quotient(kStep), coarse = quotient(2.0 * kStep);
    // The loss of the batch is a sum of some hundred roundings, in float: 16 epsilons of it.
    const double rounding = 16.0 * std::numeric_limits<float>::epsilon() * (largest + 1.0) / kStep;
    return {value, std::abs(coarse - value) + rounding};
  }

 private:
  static Config config(const std::string& likelihood, const std::string& posterior_variance) {
    Config config = small_config();
    config.likelihood = likelihood;
    config.posterior_variance = posterior_variance;
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
    double norm = 0.0;
    for (int64_t i = p.offset; i < p.offset + p.count(); ++i)
      norm += std::pow(gradient[static_cast<size_t>(i)], 2.0);
    norm = std::sqrt(norm);
    EXPECT_GT(norm, 1e-3) << p.name << " has no gradient";
    for (unsigned seed = 0; seed < 3; ++seed) {
      // Half along the gradient, so that the slope is never small; half in a random direction.
      std::vector<double> direction(gradient.size());
      const std::vector<float> random =
          uniform_floats(static_cast<size_t>(p.count()), -1.0f, 1.0f, seed);
      double length = 0.0, expected = 0.0;
      for (int64_t i = 0; i < p.count(); ++i) {
        const auto at = static_cast<size_t>(p.offset + i);
        direction[at] = gradient[at] / norm +
                        random[static_cast<size_t>(i)] / std::sqrt(static_cast<double>(p.count()));
        length += direction[at] * direction[at];
      }
      for (size_t i = 0; i < direction.size(); ++i) {
        direction[i] /= std::sqrt(length);
        expected += direction[i] * gradient[i];
      }
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
