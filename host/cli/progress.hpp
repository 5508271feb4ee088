// Training as seen from a terminal: one bar that moves, or one line per epoch where output goes to
// a file.
#pragma once

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

/// Passes everything on to several observers, in order.
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

 private:
  std::vector<TrainingObserver*> members_;
};

}  // namespace elbo::cli
