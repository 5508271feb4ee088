// Everything that a training changes. All else (order, noise, schedules) follows from the settings
// and the step.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "host/model/model.hpp"

namespace elbo {

/// Sums over steps, of which a report makes means.
struct TermSums {
  double rows = 0.0;
  std::vector<double> sums;  // of each term that steps report, times rows; empty: none yet
  bool operator==(const TermSums&) const = default;
};

/// Times that a training goes back and on after divergence.
inline constexpr uint64_t kMostRollbacks = 5;

/// How far a training is.
struct TrainingProgress {
  uint64_t step = 0;
  uint64_t epoch = 0;                                            // completed at the last report
  double best_score = -std::numeric_limits<double>::infinity();  // of validation
  uint64_t best_epoch = 0;
  uint64_t rollbacks = 0;   // after divergence; each has halved the learning rate
  uint64_t train_rows = 0;  // of the training split, which steps and their order follow from
  TermSums since_metrics = {}, since_report = {};  // the steps since the last of them
  bool operator==(const TrainingProgress&) const = default;
};

struct TrainingState {
  TrainingProgress progress;
  // The model's arena, gaps included. Moments are empty if the model is not for training.
  std::vector<float> weights, first_moments, second_moments;

  /// Whether every weight and moment is a finite number.
  bool finite() const;
};

/// The model's weights and moments as they are now.
TrainingState capture_state(const Model& model, const TrainingProgress& progress);
/// Gives them to a model made for training.
void apply_state(Model& model, const TrainingState& state);

bool all_finite(const std::vector<float>& values);

}  // namespace elbo
