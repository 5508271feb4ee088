// A program that uses the library: trains a tiny VAE on rows in memory. check.cmake checks its
// output.
#include <cmath>
#include <cstdio>
#include <elbo/elbo.hpp>
#include <vector>

int main() {
  // 512 rows of 16 values on a circle: two hidden factors in all.
  std::vector<float> rows;
  for (int row = 0; row < 512; ++row)
    for (int column = 0; column < 16; ++column)
      rows.push_back(static_cast<float>(std::sin(0.1 * row + 0.4 * column)));

  elbo::Config config = elbo::config_for_recipe("vae");
  config.hidden = {32};
  config.latent_dim = 2;
  config.likelihood = elbo::math::Likelihood::of<elbo::math::GaussianShared>();
  config.epochs = 20;
  config.learning_rate = 1e-2;

  elbo::Trainer trainer(config, elbo::Dataset::from_rows(rows, {16}), elbo::make_device("cpu"));
  const elbo::Evaluation before = trainer.evaluate("validation");
  trainer.train();
  const elbo::Evaluation after = trainer.evaluate("validation");

  std::printf("elbo on held-out rows: %.2f before, %.2f after training (nats per sample)\n",
              before.elbo.value, after.elbo.value);
  std::printf("standard error: %.2f, bits per dimension: %.2f\n", after.elbo.standard_error,
              after.elbo.bits_per_dim);
  return 0;
}
