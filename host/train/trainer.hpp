// Training: a model, a data set and a device in, a trained model out. Prints nothing and writes
// nothing; an observer hears of every step it asks for (host/train/run_directory.hpp is one).
#pragma once

#include <chrono>
#include <optional>

#include "host/train/checkpoint.hpp"
#include "host/train/evaluator.hpp"
#include "host/train/training_pass.hpp"

namespace elbo {

/// Means over the steps since the last report.
struct TrainingMetrics {
  uint64_t step = 0;           // steps completed
  uint64_t epoch = 0;          // the epoch these steps belong to, from 1
  std::vector<Metric> values;  // what the model has of metrics_of()'s
  double learning_rate = 0.0;
  double beta = 0.0;
  double seconds = 0.0;  // of this process's training so far
  double samples_per_second = 0.0;

  /// The value called `name`; NaN where there is none.
  double operator[](std::string_view name) const;
};

struct TrainingReport {
  TrainingMetrics training;              // since the last report
  std::optional<Evaluation> validation;  // where there is a validation split
  bool best = false;                     // the best validation score so far
};

class Trainer;

class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  /// Some times a second. `running` covers the time since the last call.
  virtual void on_progress(const TrainingMetrics& running, uint64_t total_steps) {
    (void)running, (void)total_steps;
  }
  /// Every metrics_interval steps.
  virtual void on_metrics(const TrainingMetrics& metrics) { (void)metrics; }
  /// After every report_epochs epochs, and at the end.
  virtual void on_report(const TrainingReport& report, const Trainer& trainer) {
    (void)report, (void)trainer;
  }
};

class Trainer {
 public:
  /// Throws ConfigError or DataError where settings, data and device do not fit together.
  Trainer(Config config, Dataset dataset, std::shared_ptr<Device> device);
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains to the end of the settings' epochs or steps, or until early stopping. Throws
  /// DivergenceError, naming the step, when the loss stops being finite.
  void train(TrainingObserver* observer = nullptr);

  /// Evaluates the current weights on a split.
  Evaluation evaluate(std::string_view split = "test") const;

  /// Goes on from a checkpoint of the same settings.
  void restore(const std::filesystem::path& checkpoint);
  void save(const std::filesystem::path& path) const { save_checkpoint(path, model_, progress_); }

  const Model& model() const { return model_; }
  Model& model() { return model_; }
  const Dataset& dataset() const { return dataset_; }
  const TrainingProgress& progress() const { return progress_; }
  const TrainingPass& pass() const { return *pass_; }
  uint64_t total_steps() const { return total_steps_; }
  bool stopped_early() const { return stopped_early_; }

 private:
  uint64_t steps_per_report() const;
  void run_steps(uint64_t steps);
  void check(const StepRecord& record) const;
  TrainingReport end_report(const TrainingMetrics& metrics);

  Dataset dataset_;
  Model model_;
  std::unique_ptr<TrainingPass> pass_;
  std::unique_ptr<Evaluator> validation_;
  std::unique_ptr<CurandGenerator> curand_;
  TrainingProgress progress_;
  uint64_t total_steps_ = 0;
  bool stopped_early_ = false;
};

}  // namespace elbo
