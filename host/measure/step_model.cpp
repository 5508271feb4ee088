#include "host/measure/step_model.hpp"

#include "host/io/formatted.hpp"
#include "kernels/math/philox.hpp"

namespace elbo {
namespace {

/// Small, so that two trainings with other noise stay close enough to compare their losses.
constexpr double kLearningRate = 1e-4;

/// Seed of the initial weights: the same for any seed of order and noise, as for the peers.
constexpr uint64_t kWeightSeed = 1;

Config config_of(const StepModel& step_model, const StepOptions& options) {
  Config config = step_config(step_model, options.batch, options.precision);
  config.seed = options.seed;
  if (options.iwae > 0) {
    config.objective = Objective::iwae;
    config.samples = options.iwae;
  }
  return config;
}

DatasetOptions all_for_training() { return {.validation_fraction = 0.0, .check_values = false}; }

DataSignature signature_of(const StepModel& step_model, const Dataset& dataset) {
  const int64_t got = element_count(dataset.sample_shape());
  const int64_t wanted = element_count(step_model.sample_shape);
  if (got != wanted)
    throw ConfigError(formatted("data: got samples of {} values, model {} wants {}", got,
                                step_model.name, wanted));
  return {step_model.sample_shape, dataset.dtype()};
}

/// Settings of a model of stages with these channels.
std::vector<std::pair<std::string_view, std::string_view>> convolutional(
    std::string_view channels) {
  return {{"network", "conv"}, {"channels", channels}, {"kernel-size", "4"},
          {"hidden", ""},      {"latent-dim", "128"},  {"likelihood", "gaussian"}};
}

}  // namespace

std::span<const StepModel> step_models() {
  static const StepModel models[] = {
      {"784-400-z20",
       {28, 28},
       {{"hidden", "400"}, {"latent-dim", "20"}, {"likelihood", "bernoulli"}}},
      {"784-512-256-z32",
       {28, 28},
       {{"hidden", "512,256"}, {"latent-dim", "32"}, {"likelihood", "gaussian"}}},
      {"784-200-200-z50",
       {28, 28},
       {{"hidden", "200,200"},
        {"latent-dim", "50"},
        {"activation", "tanh"},
        {"likelihood", "bernoulli"}}},
      {"12288-4096-2048-z256",
       {64, 64, 3},
       {{"hidden", "4096,2048"}, {"latent-dim", "256"}, {"likelihood", "gaussian"}},
       16384},
      {"conv-32x32x3", {32, 32, 3}, convolutional("32,64,128"), 16384},
      {"conv-64x64x3", {64, 64, 3}, convolutional("32,64,128,256"), 16384},
      // For tests of programs; too small to time.
      {"16-8-z2", {4, 4}, {{"hidden", "8"}, {"latent-dim", "2"}, {"likelihood", "bernoulli"}}, 512},
      {"conv-8x8x3", {8, 8, 3}, convolutional("4,8"), 512}};
  return models;
}

std::string step_model_names() {
  std::string names;
  for (const StepModel& model : step_models())
    names += (names.empty() ? "" : ", ") + std::string(model.name);
  return names;
}

const StepModel& step_model(std::string_view name) {
  for (const StepModel& model : step_models())
    if (model.name == name) return model;
  throw ConfigError("model: got '" + std::string(name) + "', expected one of " +
                    step_model_names());
}

Config step_config(const StepModel& step_model, int64_t batch, ChosenPrecision precision) {
  Config config;
  for (const auto& [key, value] : step_model.settings) apply_setting(config, key, value);
  config.binarize = Binarization::none;
  config.batch_size = batch;
  config.output_init = OutputInit::zero;
  config.learning_rate = kLearningRate;
  config.precision = precision;
  return config;
}

Dataset random_rows(const StepModel& step_model, int64_t rows) {
  const int64_t dim = element_count(step_model.sample_shape);
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * dim));  // dim is a multiple of four
#pragma omp parallel for
  for (size_t i = 0; i < bytes.size(); i += 4) {
    const math::Bits4 bits = math::philox4x32(static_cast<uint64_t>(dim), 0, i / 4);
    for (size_t lane = 0; lane < 4; ++lane) bytes[i + lane] = bits.value[lane] & 0xffu;
  }
  return Dataset::from_rows(std::move(bytes), step_model.sample_shape, all_for_training());
}

TrainingStep::TrainingStep(const StepModel& step_model, Dataset data, const StepOptions& options,
                           std::shared_ptr<Device> device)
    : dataset(std::move(data)),
      config(config_of(step_model, options)),
      model(config, signature_of(step_model, dataset), std::move(device), Model::Purpose::training),
      pass(make_pass()) {
  initial_weights_ = model.architecture.initial_weights(kWeightSeed, nullptr);
  restart();
}

TrainingPass TrainingStep::make_pass() {
  const Split& rows = dataset.split("train");
  return {model, rows, {.plan = step_plan(config, rows.size()), .optimizer = config}};
}

void TrainingStep::restart(int64_t seed) {
  model.device->synchronize();  // before the old pass is destroyed
  config.seed = model.settings.seed = seed;
  pass = make_pass();
  restart();
}

void TrainingStep::restart() {
  model.set_weights(initial_weights_);
  for (const Buffer<float>* moments : {&model.arena.first_moments, &model.arena.second_moments})
    model.device->fill_zero(moments->data(), moments->size() * sizeof(float));
  pass.seek(0);
}

}  // namespace elbo
