// Training: a model, a data set and a device in, a trained model out. Prints nothing and writes
// nothing; an observer hears of every step it asks for (host/train/run_directory.hpp is one).
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
  /// Once per metrics_interval steps. The device may already have run up to one chunk of later
  /// steps, so the model's weights can be newer than `metrics`.
  virtual void on_metrics(const TrainingMetrics& metrics) { (void)metrics; }
  /// After every report_epochs epochs, and at the end.
  virtual void on_report(const TrainingReport& report, const Trainer& trainer) {
    (void)report, (void)trainer;
  }
  /// Every checkpoint_minutes between reports, and if a training stops between them:
  /// trainer.state() is what to keep.
  virtual void on_checkpoint(const Trainer& trainer) { (void)trainer; }
  /// Once it is known what happened, before training goes on or ends.
  virtual void on_divergence(const Divergence& divergence) { (void)divergence; }
  /// Asked some times a second, between steps.
  virtual bool wants_stop() { return false; }
};

/// Why a training is over, or not yet.
enum class TrainingEnd {
  completed,
  stopped_early,  // no better validation score for long enough
  interrupted,    // the observer wanted it to stop
  out_of_time,    // max_minutes have passed
};

class Trainer {
 public:
  /// Throws ConfigError or DataError where settings, data and device do not fit together.
  Trainer(Config config, Dataset dataset, std::shared_ptr<Device> device);
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains to the end of the settings' epochs or steps, until early stopping, or until it is to
  /// stop between steps. Throws DivergenceError, naming the step, when loss, gradients or weights
  /// stop being finite and the settings allow no rollback (any more); the model is then in the last
  /// good state.
  TrainingEnd train(TrainingObserver* observer = nullptr);

  /// Evaluates the current weights on a split.
  Evaluation evaluate(std::string_view split = "test") const;

  /// Goes on from a checkpoint of the same settings. Throws DataError, and leaves everything as it
  /// is, where the file is damaged or of something else.
  void restore(const std::filesystem::path& checkpoint);
  /// Writes the model as it is now.
  void save(const std::filesystem::path& path) const {
    save_checkpoint(path, config_, model_, progress_);
  }

  /// The last good state: as of the last report, checkpoint or restore. All in it is finite.
  const TrainingState& state() const { return state_; }

  /// The settings; the trainer itself has set a data-window that it had to choose.
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
    StepRecord record;  // where it was noticed
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
