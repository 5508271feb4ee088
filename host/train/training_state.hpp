// The complete mutable state of a training. Everything else (order, noise, schedules) is determined
// by the settings and the step.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "host/model/model.hpp"

namespace elbo {

/// Sums over steps, from which a report computes means.
struct TermSums {
  double rows = 0.0;
  std::vector<double> sums;  // of each reported term, times rows; empty: none yet
  bool operator==(const TermSums&) const = default;
};

/// Maximum number of rollbacks after divergence.
inline constexpr uint64_t kMostRollbacks = 5;

/// The progress of a training.
struct TrainingProgress {
  uint64_t step = 0;
  uint64_t epoch = 0;                                            // at the last report
  double best_score = -std::numeric_limits<double>::infinity();  // of validation
  uint64_t best_epoch = 0;
  uint64_t rollbacks = 0;   // after divergence; each has halved the learning rate
  uint64_t train_rows = 0;  // size of the training split, which determines the steps
  TermSums since_metrics = {}, since_report = {};  // steps since the last of each
  bool operator==(const TrainingProgress&) const = default;
};

struct TrainingState {
  TrainingProgress progress;
  // The model's arena, including its gaps. Moments are empty if the model is not for training.
  std::vector<float> weights, first_moments, second_moments;

  /// Returns true if every weight and moment is finite.
  bool finite() const;
};

/// Copies the current weights and moments of the model.
TrainingState capture_state(const Model& model, const TrainingProgress& progress);
/// Writes the state into a model made for training.
void apply_state(Model& model, const TrainingState& state);

bool all_finite(const std::vector<float>& values);

}  // namespace elbo
