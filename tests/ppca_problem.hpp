// The linear VAE's closed form, probabilistic PCA (Tipping and Bishop 1999; Lucas et al. 2019), and
// the result of training.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

#include "host/train/recipe.hpp"
#include "host/train/trainer.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {

/// The optimum, in nats per sample.
struct PpcaOptimum {
  double elbo;
  double kl;
};

/// Trains and compares: within `tolerance` nats of the optimum and, beyond Monte Carlo noise, never
/// above it; the divergence within 1 %. `samples` per row make the noise as small as is wanted.
inline void expect_reaches(const PpcaOptimum& optimum, const Config& config, Dataset data,
                           const std::shared_ptr<Device>& device, int64_t samples,
                           double tolerance) {
  Trainer trainer(config, std::move(data), device);
  trainer.train();
  const TemporaryDirectory directory;
  trainer.save(directory / "last.safetensors");
  const Model model = load_model(directory / "last.safetensors", device, samples);
  const Evaluation got = Evaluator(model, trainer.dataset().split("train")).evaluate();

  // One draw of log p(x|z) at the optimum has a variance of at most 1/2 + 1/4 per latent: of the
  // square of its noise, and of the noise times the residual. Five deviations of the mean.
  const double noise = 5.0 * std::sqrt(static_cast<double>(config.latent_dim) /
                                       static_cast<double>(got.count * samples));
  std::printf("elbo %.4f, closed form %.4f (noise %.4f); kl %.4f, closed form %.4f\n",
              got.elbo.value, optimum.elbo, noise, got.kl.value, optimum.kl);
  EXPECT_LE(got.elbo.value, optimum.elbo + noise) << "above what is possible";
  EXPECT_GE(got.elbo.value, optimum.elbo - tolerance - noise);
  EXPECT_NEAR(got.kl.value, optimum.kl, 0.01 * optimum.kl);
}

}  // namespace elbo
