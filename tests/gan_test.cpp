// Generative adversarial training with known densities (Goodfellow et al., "Generative Adversarial
// Nets", 2014, section 4): for a fixed generator the discriminator reaches p_data / (p_data + p_G);
// trained together, V(D, G) reaches -log 4, D one half, and the samples the data's distribution.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

#include "host/train/generation.hpp"
#include "host/train/trainer.hpp"

namespace elbo {
namespace {

/// A mixture of two normals in one dimension.
struct Mixture {
  double mean[2], deviation[2], weight[2];

  double density(double x) const {
    double sum = 0.0;
    for (int i = 0; i < 2; ++i) {
      const double t = (x - mean[i]) / deviation[i];
      sum += weight[i] * std::exp(-0.5 * t * t) / (deviation[i] * std::sqrt(2.0 * M_PI));
    }
    return sum;
  }
  double cumulative(double x) const {
    double sum = 0.0;
    for (int i = 0; i < 2; ++i)
      sum += weight[i] * 0.5 * std::erfc(-(x - mean[i]) / (deviation[i] * std::sqrt(2.0)));
    return sum;
  }
  std::vector<float> draw(size_t count) const {
    std::mt19937_64 random(1);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform;
    std::vector<float> rows(count);
    for (float& row : rows) {
      const int i = uniform(random) < weight[0] ? 0 : 1;
      row = static_cast<float>(mean[i] + deviation[i] * normal(random));
    }
    return rows;
  }
};

constexpr Mixture kData = {{-1.5, 1.0}, {0.5, 0.7}, {0.4, 0.6}};

Config adversarial_config() {
  Config config;
  config.bottleneck = Bottleneck::gaussian;
  config.likelihood = math::Likelihood::of<math::Mse>();
  config.reconstruction_weight = 0.0;
  config.discriminator = DiscriminatorKind::data;
  config.discriminator_inputs = DiscriminatorInputs::samples;
  config.discriminator_hidden = {32, 32};
  config.discriminator_activation = math::Activation::of<math::Tanh>();
  config.beta1 = 0.5;
  config.batch_size = 512;
  config.learning_rate = 3e-3;
  config.learning_rate_schedule = math::Decay::of<math::CosineDecay>();
  config.validation_fraction = 0.0;
  config.picture_count = 0;
  return config;
}

Dataset data() {
  return Dataset::from_rows(kData.draw(100'000), {1}, {.validation_fraction = 0.0});
}

TEST(Gan, DiscriminatorOfAFixedGeneratorIsTheDensitiesRatio) {
  Config config = adversarial_config();
  config.generator_loss = GeneratorLoss::none;
  config.hidden = {};
  config.latent_dim = 1;
  config.steps = 3000;
  Trainer trainer(config, data(), make_cpu_device());
  ASSERT_EQ(phases_of(config).size(), 1u);

  // The generator 0.8 + 1.2 z, of which the density is known.
  const Mixture generated = {{0.8, 0.8}, {1.2, 1.2}, {0.5, 0.5}};
  Model& model = trainer.model();
  std::vector<float> weights = model.arena.weights.download();
  const auto place = [&](const char* name) {
    return static_cast<size_t>(model.architecture.layout().find(name)->offset);
  };
  weights[place("likelihood.weight")] = 1.2f;
  weights[place("likelihood.bias")] = 0.8f;
  model.set_weights(weights);
  trainer.train();
  EXPECT_EQ(model.arena.weights.download()[place("likelihood.weight")], 1.2f) << "not fixed";

  std::vector<float> grid;
  for (double x = -6.0; x <= 6.0; x += 0.01) grid.push_back(static_cast<float>(x));
  const std::vector<float> got = discriminate(model, grid);
  double error = 0.0, mass = 0.0;
  for (size_t i = 0; i < grid.size(); ++i) {
    const double p = kData.density(grid[i]), q = generated.density(grid[i]);
    error += 0.5 * (p + q) * std::abs(got[i] - p / (p + q));
    mass += 0.5 * (p + q);
  }
  std::printf("D against p_data / (p_data + p_G): mean absolute error %.4f\n", error / mass);
  EXPECT_LE(error / mass, 0.03);
}

class GanTraining : public testing::TestWithParam<GeneratorLoss> {};
INSTANTIATE_TEST_SUITE_P(Losses, GanTraining,
                         testing::Values(GeneratorLoss::non_saturating, GeneratorLoss::saturating));

TEST_P(GanTraining, ReachesTheOptimum) {
  Config config = adversarial_config();
  config.generator_loss = GetParam();
  config.hidden = {32, 32};
  config.activation = math::Activation::of<math::Tanh>();
  config.latent_dim = 2;
  config.learning_rate = 1e-3;
  config.discriminator_learning_rate_ratio = 2.0;
  config.steps = 8000;
  Trainer trainer(config, data(), make_cpu_device());
  trainer.train();
  const Evaluation got = trainer.evaluate("train");

  std::vector<float> samples = sample(trainer.model(), 20'000, 5);
  std::ranges::sort(samples);
  double distance = 0.0;  // Kolmogorov's, to the data's distribution
  for (size_t i = 0; i < samples.size(); ++i) {
    const double below = static_cast<double>(i) / static_cast<double>(samples.size());
    distance = std::max(distance, std::abs(kData.cumulative(samples[i]) - below));
  }
  std::printf(
      "V(D, G) %.4f (-log 4 is %.4f), mean D %.4f of data, %.4f of samples, "
      "Kolmogorov distance %.4f\n",
      got.gan_value, -std::log(4.0), got.d_real, got.d_generated, distance);
  EXPECT_NEAR(got.gan_value, -std::log(4.0), 0.05 * std::log(4.0));
  EXPECT_NEAR(got.d_real, 0.5, 0.025);
  EXPECT_NEAR(got.d_generated, 0.5, 0.025);
  // A discriminator that has not learned would have the same value for an untrained generator.
  EXPECT_LE(distance, 0.1);
}

}  // namespace
}  // namespace elbo
