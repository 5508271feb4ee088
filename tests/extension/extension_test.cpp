// A likelihood that is added as one file and one list entry is complete: it is a setting, it
// trains, and a checkpoint restores it. The tests that iterate over the list, which this program
// also contains, check its gradients.
#include <gtest/gtest.h>

#include "host/train/config.hpp"
#include "host/train/generation.hpp"
#include "host/train/trainer.hpp"
#include "tests/file_fixture.hpp"
#include "tests/workspace.hpp"

namespace elbo {
namespace {

Config poisson_config() {
  Config config;
  apply_setting(config, "likelihood", "poisson");
  config.hidden = {8};
  config.latent_dim = 2;
  config.activation = math::Activation::of<math::Tanh>();
  config.epochs = 100;
  config.batch_size = 32;
  config.learning_rate = 0.01;
  config.output_init = OutputInit::zero;
  return config;
}

/// Counts 0 to 7.
Dataset counts() {
  std::vector<float> rows = uniform_floats(96 * 6, 0.0f, 8.0f, 1);
  for (float& v : rows) v = std::floor(v);
  return Dataset::from_rows(std::move(rows), {6}, {.validation_fraction = 0.0});
}

TEST(Likelihood, IsASetting) {
  EXPECT_NO_THROW(poisson_config().check());
  Config config;
  expect_error<ConfigError>([&] { apply_setting(config, "likelihood", "poison"); },
                            {"likelihood", "discretized-logistic, poisson"});
}

// Rates of 1 at first, of 3.5 at the end.
TEST(Likelihood, TrainsAndComesBackFromACheckpoint) {
  Trainer trainer(poisson_config(), counts(), make_cpu_device(1));
  const double before = trainer.evaluate("train").elbo.value;
  trainer.train();
  const Evaluation after = trainer.evaluate("train");
  EXPECT_GT(after.elbo.value, before + 1.0);

  const TemporaryDirectory directory;
  trainer.save(directory / "model.safetensors");
  const Model model = load_model(directory / "model.safetensors", make_cpu_device(1));
  EXPECT_EQ(model.architecture.decoder().likelihood().name(), "poisson");
  EXPECT_EQ(Evaluator(model, trainer.dataset().split("train")).evaluate().elbo.value,
            after.elbo.value);
  double mean = 0.0;
  const std::vector<float> samples = sample(model, 64, 1);
  for (const float v : samples) mean += v / static_cast<double>(samples.size());
  EXPECT_NEAR(mean, 3.5, 1.0) << "E[x|z] is the rate";
}

}  // namespace
}  // namespace elbo
