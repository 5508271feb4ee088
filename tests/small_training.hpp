// A model of a few parameters on a few rows, trained step by step: common code of training tests.
#pragma once

#include <stdexcept>
#include <utility>
#include <vector>

#include "host/train/training_pass.hpp"
#include "tests/workspace.hpp"

namespace elbo {

inline constexpr int64_t kSmallDim = 5;

inline Config small_config() {
  Config config;
  config.hidden = {6, 4};
  config.latent_dim = 3;
  config.activation = math::Activation::of<math::Tanh>();
  config.likelihood = math::Likelihood::of<math::GaussianShared>();
  config.samples = 2;
  config.binarize = Binarization::none;
  config.dequantize = Dequantization::none;
  config.validation_fraction = 0.0;
  config.batch_size = 8;
  config.epochs = 3;
  config.report_epochs = 1;
  config.picture_count = 0;
  return config;
}

/// Rows in [0, 1).
inline Dataset small_data(int64_t rows, double validation_fraction = 0.0, unsigned seed = 1) {
  return Dataset::from_rows(uniform_floats(static_cast<size_t>(rows * kSmallDim), 0.0f, 1.0f, seed),
                            {kSmallDim}, {.validation_fraction = validation_fraction});
}

class SmallTraining {
 public:
  SmallTraining(const Config& config, Dataset data, bool shuffle = true,
                bool external_epsilon = false, int threads = 1)
      : SmallTraining(config, std::move(data), make_cpu_device(threads), shuffle,
                      external_epsilon) {}
  SmallTraining(const Config& config, Dataset data, std::shared_ptr<Device> device,
                bool shuffle = true, bool external_epsilon = false)
      : data_(std::move(data)),
        model(config, signature_of(config, data_), std::move(device), Model::Purpose::training),
        pass(model, data_.split("train"),
             {.plan = step_plan(config, data_.split("train").size()),
              .optimizer = config,
              .shuffle = shuffle,
              .external_epsilon = external_epsilon,
              .keep_gradients = true}) {
    model.set_weights(
        model.architecture.initial_weights(static_cast<uint64_t>(config.seed), nullptr));
  }

  StepRecord step() {
    pass.run(1);
    return pass.records(1).front();
  }
  std::vector<float> gradients() const { return model.arena.gradients.download(); }
  std::vector<float> weights() const { return model.arena.weights.download(); }

  /// The recorded op of this kind.
  template <class Wanted>
  const Wanted& op() const {
    for (const Op& op : pass.program())
      if (const auto* found = std::get_if<Wanted>(&op)) return *found;
    throw std::logic_error("no such op");
  }
  /// The memory of one of the ops' pointers; rows past the active ones are undefined.
  template <class T>
  std::vector<T> read(const T* from, int64_t count) const {
    std::vector<T> values(static_cast<size_t>(count));
    model.device->download(values.data(), from, values.size() * sizeof(T));
    return values;
  }

 private:
  Dataset data_;

 public:
  Model model;
  TrainingPass pass;
};

}  // namespace elbo
