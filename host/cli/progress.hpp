// Prints the progress of a training: a line per report and, on a terminal, a progress bar. Also
// shows the progress of other long computations.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "host/train/trainer.hpp"

namespace elbo::cli {

class ProgressDisplay : public TrainingObserver {
 public:
  explicit ProgressDisplay(bool quiet);
  ~ProgressDisplay() override;

  void on_progress(const TrainingMetrics& running, uint64_t total_steps) override;
  void on_report(const TrainingReport& report, const Trainer& trainer) override;
  /// Prints a warning if training continues.
  void on_divergence(const Divergence& divergence) override;

 private:
  void clear_bar();

  bool quiet_;
  bool terminal_;
  bool bar_drawn_ = false;
  bool headed_ = false;
  double rate_ = 0.0;  // samples per second, smoothed
  double last_drawn_ = -1.0;
  uint64_t first_step_ = 0;
  bool started_ = false;
};

/// Progress bar of a computation of known size; silent if the output is not a terminal.
class WorkDisplay {
 public:
  /// `unit` is the counted unit, for example "samples".
  WorkDisplay(std::string unit, int64_t total, bool quiet);
  ~WorkDisplay();

  void add(int64_t done);

 private:
  std::string unit_;
  int64_t total_, done_ = 0;
  bool silent_;
  bool bar_drawn_ = false;
  std::chrono::steady_clock::time_point start_, last_drawn_;
};

/// Shows the progress of decoding pictures, and its result.
class PackingDisplay : public PackingObserver {
 public:
  explicit PackingDisplay(bool quiet) : quiet_(quiet) {}

  void on_progress(int64_t done, int64_t total) override;
  void on_opened(const PackedPictures& packed) override;

 private:
  bool quiet_;
  std::optional<WorkDisplay> bar_;
  int64_t done_ = 0;
  std::chrono::steady_clock::time_point start_;
};

/// Forwards all calls to several observers, in order.
class ObserverGroup : public TrainingObserver {
 public:
  explicit ObserverGroup(std::vector<TrainingObserver*> members) : members_(std::move(members)) {}
  void on_progress(const TrainingMetrics& running, uint64_t total_steps) override {
    for (TrainingObserver* m : members_) m->on_progress(running, total_steps);
  }
  void on_metrics(const TrainingMetrics& metrics) override {
    for (TrainingObserver* m : members_) m->on_metrics(metrics);
  }
  void on_report(const TrainingReport& report, const Trainer& trainer) override {
    for (TrainingObserver* m : members_) m->on_report(report, trainer);
  }
  void on_checkpoint(const Trainer& trainer) override {
    for (TrainingObserver* m : members_) m->on_checkpoint(trainer);
  }
  void on_divergence(const Divergence& divergence) override {
    for (TrainingObserver* m : members_) m->on_divergence(divergence);
  }
  bool wants_stop() override {
    return std::ranges::any_of(members_, [](TrainingObserver* m) { return m->wants_stop(); });
  }

 private:
  std::vector<TrainingObserver*> members_;
};

}  // namespace elbo::cli
