// The models whose whole training step is timed, here and against PyTorch (bench/peers).
#pragma once

#include <span>
#include <string_view>

#include "host/train/training_pass.hpp"

namespace elbo::bench {

struct StepModel {
  std::string_view name;  // <data>-<hidden>-z<latent>
  std::vector<int64_t> hidden;
  int64_t latent_dim;
  std::string_view likelihood;
};

std::span<const StepModel> step_models();
/// Throws ConfigError naming the models there are.
const StepModel& step_model(std::string_view name);

/// `rows` rows of random 28 x 28 bytes, the same every time.
Dataset random_images(int64_t rows);

/// A model about to be trained: ReLU, Adam with its defaults, learning rate 1e-4. Grey values as
/// they are for Bernoulli, dequantised for Gaussian.
struct TrainingStep {
  Dataset dataset;
  Model model;
  TrainingPass pass;

  TrainingStep(const StepModel& step_model, Dataset data, int64_t batch, int64_t seed,
               std::shared_ptr<Device> device);
};

}  // namespace elbo::bench
