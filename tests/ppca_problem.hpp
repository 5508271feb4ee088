// The linear VAE's closed form, probabilistic PCA (Tipping and Bishop 1999; Lucas et al. 2019), and
// what training reaches.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "host/model/recipe.hpp"
#include "host/train/trainer.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {

/// The optimum, in nats per sample.
struct PpcaOptimum {
  double elbo;
  double kl;
};

/// Trains and compares: within `tolerance` nats of the optimum and, beyond Monte Carlo noise, never
/// above it; the divergence within 1 %.
inline void expect_reaches(const PpcaOptimum& optimum, const Config& config, Dataset data,
                           double tolerance) {
  const auto device = make_cpu_device();
  Trainer trainer(config, std::move(data), device);
  trainer.train();
  // Many samples per row, so that what is compared is the bound and not its noise.
  constexpr int64_t kSamples = 100;
  const TemporaryDirectory directory;
  trainer.save(directory / "last.safetensors");
  const Model model = load_model(directory / "last.safetensors", device, kSamples);
  const Evaluation got = Evaluator(model, trainer.dataset().split("train")).evaluate();

  // At the optimum the noise of one draw is that of (|x - Wz - mean|^2 / s2 - ...) / 2: its
  // deviation is at most sqrt(d / 2) nats, averaged over rows and samples. Five of them.
  const auto draws = static_cast<double>(got.count * kSamples);
  const double noise = 5.0 * std::sqrt(0.5 * static_cast<double>(trainer.dataset().dim()) / draws);
  testing::Test::RecordProperty("elbo", std::to_string(got.elbo));
  testing::Test::RecordProperty("optimum", std::to_string(optimum.elbo));
  std::printf("elbo %.4f, closed form %.4f, kl %.4f, closed form %.4f, noise %.4f\n", got.elbo,
              optimum.elbo, got.kl, optimum.kl, noise);
  EXPECT_LE(got.elbo, optimum.elbo + noise) << "above what is possible";
  EXPECT_GE(got.elbo, optimum.elbo - tolerance - noise);
  EXPECT_NEAR(got.kl, optimum.kl, 0.01 * optimum.kl);
}

}  // namespace elbo
