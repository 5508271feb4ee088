#include "bench/step_model.hpp"

#include "kernels/math/philox.hpp"

namespace elbo::bench {
namespace {

/// Small, so that two trainings with other noise stay close enough to compare their losses.
constexpr double kLearningRate = 1e-4;

/// Of the initial weights: the same whatever seed draws order and noise, as the peers' are.
constexpr uint64_t kWeightSeed = 1;

Config config_of(const StepModel& step_model, int64_t batch, int64_t seed) {
  Config config;
  config.hidden = step_model.hidden;
  config.latent_dim = step_model.latent_dim;
  config.likelihood = step_model.likelihood;
  config.binarize = "none";
  config.batch_size = batch;
  config.seed = seed;
  config.output_init = "zero";
  config.learning_rate = kLearningRate;
  return config;
}

}  // namespace

std::span<const StepModel> step_models() {
  static const StepModel models[] = {{"784-400-z20", {400}, 20, "bernoulli"},
                                     {"784-512-256-z32", {512, 256}, 32, "gaussian"}};
  return models;
}

const StepModel& step_model(std::string_view name) {
  std::string names;
  for (const StepModel& model : step_models()) {
    if (model.name == name) return model;
    names += (names.empty() ? "" : ", ") + std::string(model.name);
  }
  throw ConfigError("model: got '" + std::string(name) + "', want one of " + names);
}

Dataset random_images(int64_t rows) {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows) * 784);
  for (size_t i = 0; i < bytes.size(); i += 4) {
    const math::Bits4 bits = math::philox4x32(784, 0, i / 4);
    for (size_t lane = 0; lane < 4; ++lane) bytes[i + lane] = bits.value[lane] & 0xffu;
  }
  return Dataset::from_rows(std::move(bytes), {28, 28},
                            {.validation_fraction = 0.0, .check_values = false});
}

TrainingStep::TrainingStep(const StepModel& step_model, Dataset data, int64_t batch, int64_t seed,
                           std::shared_ptr<Device> device)
    : dataset(std::move(data)),
      model(config_of(step_model, batch, seed), {dataset.sample_shape(), dataset.dtype()},
            std::move(device), Model::Purpose::training),
      pass(model, dataset.split("train"),
           {.plan = step_plan(model.config, dataset.split("train").size())}) {
  model.set_weights(model.vae.initial_weights(kWeightSeed, nullptr));
}

}  // namespace elbo::bench
