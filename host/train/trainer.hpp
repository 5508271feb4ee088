// Training: takes a model, a data set and a device, and trains the model. It prints and writes
// nothing; instead it notifies an observer (for example host/train/run_directory.hpp).
#pragma once

#include <chrono>
#include <optional>

#include "host/train/checkpoint.hpp"
#include "host/train/divergence.hpp"
#include "host/train/evaluator.hpp"
#include "host/train/metrics_window.hpp"
#include "host/train/training_pass.hpp"

namespace elbo {

struct TrainingReport {
  TrainingMetrics training;              // since the last report
  std::optional<Evaluation> validation;  // if there is a validation split
  bool best = false;                     // the best validation score so far
};

class Trainer;

class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  /// Called several times per second. `running` covers the time since the last call.
  virtual void on_progress(const TrainingMetrics& running, uint64_t total_steps) {
    (void)running, (void)total_steps;
  }
  /// Called every metrics_interval steps. The device may already have run up to one chunk of later
  /// steps, so the weights of the model can be newer than `metrics`.
  virtual void on_metrics(const TrainingMetrics& metrics) { (void)metrics; }
  /// Called after every report_epochs epochs, and at the end.
  virtual void on_report(const TrainingReport& report, const Trainer& trainer) {
    (void)report, (void)trainer;
  }
  /// Called every checkpoint_minutes between reports, and when training stops between reports;
  /// trainer.state() is the state to save.
  virtual void on_checkpoint(const Trainer& trainer) { (void)trainer; }
  /// Called once the cause is known, before training continues or ends.
  virtual void on_divergence(const Divergence& divergence) { (void)divergence; }
  /// Called several times per second, between steps.
  virtual bool wants_stop() { return false; }
};

/// The reason why training returned.
enum class TrainingEnd {
  completed,
  stopped_early,  // no better validation score for long enough
  interrupted,    // the observer requested a stop
  out_of_time,    // max_minutes have passed
};

class Trainer {
 public:
  /// Throws ConfigError or DataError if settings, data and device are incompatible.
  Trainer(Config config, Dataset dataset, std::shared_ptr<Device> device);
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains until the epochs or steps of the settings are completed, early stopping applies, or a
  /// stop is requested between steps. Throws DivergenceError, which names the step, if loss,
  /// gradients or weights become non-finite and the settings allow no (further) rollback; the model
  /// is then in the last good state.
  TrainingEnd train(TrainingObserver* observer = nullptr);

  /// Evaluates the current weights on a split.
  Evaluation evaluate(std::string_view split = "test") const;

  /// Resumes from a checkpoint of the same settings. If the file is damaged or belongs to another
  /// model or data set, throws DataError and leaves the trainer unchanged.
  void restore(const std::filesystem::path& checkpoint);
  /// Writes the current model.
  void save(const std::filesystem::path& path) const {
    save_checkpoint(path, config_, model_, progress_);
  }

  /// Returns the last good state, of the last report, checkpoint or restore. All its values are
  /// finite.
  const TrainingState& state() const { return state_; }

  /// Returns the settings, including a data-window that the trainer had to choose.
  const Config& config() const { return config_; }
  const Model& model() const { return model_; }
  Model& model() { return model_; }
  const Dataset& dataset() const { return dataset_; }
  const TrainingProgress& progress() const { return progress_; }
  const TrainingPass& pass() const { return *pass_; }
  uint64_t total_steps() const { return total_steps_; }
  bool stopped_early() const { return stopped_early_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct NotFinite {
    StepRecord record;  // of the step at which it was detected
    const char* what;
  };

  void make_pass(bool keep_gradients = false);
  uint64_t steps_per_report() const;
  void run_steps(uint64_t steps);
  TrainingEnd run(TrainingObserver& observer);
  void capture();
  void go_to_state(bool keep_gradients = false);
  Divergence find_divergence(const NotFinite& noticed);
  void recover(Divergence divergence, TrainingObserver& observer);
  TrainingReport end_report(const TrainingMetrics& metrics);
  bool patience_ended() const;

  Config config_;
  Dataset dataset_;
  Model model_;
  std::unique_ptr<TrainingPass> pass_;
  std::unique_ptr<Evaluator> validation_;
  std::unique_ptr<CurandGenerator> curand_;
  std::optional<uint32_t> window_;  // of the pass
  TrainingProgress progress_;
  TrainingState state_;
  uint64_t total_steps_ = 0;
  bool stopped_early_ = false;
  Clock::time_point start_, last_capture_;
};

}  // namespace elbo
