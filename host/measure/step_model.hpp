// Models whose training step is timed, here and against peers (bench/peers).
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "host/train/training_pass.hpp"

namespace elbo {

struct StepModel {
  std::string_view name;  // <data>-<hidden>-z<latent>, conv-<data>
  Shape sample_shape;     // of 8-bit values
  std::vector<std::pair<std::string_view, std::string_view>> settings;  // on top of Config's
  int64_t random_rows = 60000;  // of the data set that is generated if none is given
};

std::span<const StepModel> step_models();
/// Their names, for people.
std::string step_model_names();
/// Throws ConfigError naming the available models.
const StepModel& step_model(std::string_view name);

/// Adam with its defaults, learning rate 1e-4. Grey values are unchanged for Bernoulli and
/// dequantised for Gaussian.
Config step_config(const StepModel& step_model, int64_t batch, ChosenPrecision precision);

/// `rows` rows of random bytes, always the same.
Dataset random_rows(const StepModel& step_model, int64_t rows);

struct StepOptions {
  int64_t batch = 128;
  int64_t seed = 1;  // of order and noise
  ChosenPrecision precision = ChosenPrecision::automatic;
  int64_t iwae = 0;  // samples of an importance-weighted bound; 0: the elbo
};

/// A model ready to be trained on data of any shape. Throws ConfigError if a row does not have the
/// model's number of values.
struct TrainingStep {
  Dataset dataset;
  Config config;
  Model model;
  TrainingPass pass;

  TrainingStep(const StepModel& step_model, Dataset data, const StepOptions& options,
               std::shared_ptr<Device> device);

  /// Returns to the start of training.
  void restart();
  /// The same with another seed of order and noise. Device, data and initial weights are kept; the
  /// program is prepared again.
  void restart(int64_t seed);

 private:
  TrainingPass make_pass();

  std::vector<float> initial_weights_;
};

}  // namespace elbo
