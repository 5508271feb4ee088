// Accumulates the means of a report step by step.
#pragma once

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "host/model/batch_pass.hpp"
#include "host/train/training_state.hpp"

namespace elbo {

/// Means over the steps since the last report.
struct TrainingMetrics {
  uint64_t step = 0;           // number of completed steps
  uint64_t epoch = 0;          // the epoch these steps belong to, from 1
  std::vector<Metric> values;  // metrics_of() for this model
  double learning_rate = 0.0;
  double beta = 0.0;
  double seconds = 0.0;  // training time of this process so far
  double samples_per_second = 0.0;

  /// Returns the value called `name`; NaN if there is none.
  double operator[](std::string_view name) const;
};

/// Accumulates step records into the means of a report.
class MetricsWindow {
 public:
  /// Continues from `sums`, which may come from an earlier process. `terms` must outlive the
  /// window.
  explicit MetricsWindow(const std::vector<ReportedTerm>& terms, TermSums sums = {});

  void add(const StepRecord& record);
  bool empty() const { return sums_.rows == 0.0; }
  void clear();
  const TermSums& sums() const { return sums_; }
  TrainingMetrics report(double training_seconds) const;

 private:
  using Clock = std::chrono::steady_clock;

  const std::vector<ReportedTerm>& terms_;
  Clock::time_point start_;
  double rows_ = 0.0;  // since the start
  TermSums sums_;
  StepRecord last_;
};

}  // namespace elbo
