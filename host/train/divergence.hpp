// A training whose numbers are no longer finite: at which step, on which rows, in which tensors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/train/training_pass.hpp"

namespace elbo {

/// Whether the loss, its parts and, where it is known, the gradient's norm are finite.
bool is_finite(const StepRecord& record);

struct Divergence {
  /// A step as it was reported.
  struct Step {
    uint64_t step = 0, epoch = 0;  // from 1
    std::vector<Metric> values;    // what metrics_of() makes of it
    double learning_rate = 0.0, beta = 0.0;
    std::optional<double> gradient_norm;  // where gradients are clipped
  };
  /// A parameter: the largest magnitudes of its finite elements, and how many are not finite.
  struct Tensor {
    std::string name;
    float largest_weight = 0.0f, largest_gradient = 0.0f;  // before the step; of the step
    int64_t weights_not_finite = 0, gradients_not_finite = 0;
  };

  Step step;               // the first one of which not everything is finite
  std::string what;        // of "loss", "gradients", "weights" and optimizer "moments"
  uint64_t good_step = 0;  // the state that its steps were repeated from
  /// Whether it happened again when they were; the rest is empty otherwise. Equal steps give equal
  /// bits: where they do not, a machine has failed.
  bool repeated = false;
  std::vector<Step> before;    // the steps before it, as far as they were looked at one by one
  std::vector<uint32_t> rows;  // of the train file that were in its batch
  uint32_t largest_row = 0;    // the one of them with the value of largest magnitude, as stored
  double largest_value = 0.0;
  std::vector<Tensor> tensors;
  /// Where training goes on from good_step: the part of the learning rate that it goes on with.
  std::optional<double> learning_rate_factor;
};

/// The report of a step.
Divergence::Step reported(const StepRecord& record, const std::vector<ReportedTerm>& terms);

/// Looks at the step that `pass` has just done on rows of `train`: fills in rows and tensors.
/// `weights` are those before it.
void examine(Divergence& divergence, const Model& model, const Split& train,
             const TrainingPass& pass, int32_t rows, const std::vector<float>& weights);

/// One line: "training diverged at step 12: ...".
std::string describe(const Divergence& divergence);

/// All of it, for people and programs. Numbers that JSON has not got are "nan", "inf" and "-inf".
std::string to_json(const Divergence& divergence);

}  // namespace elbo
