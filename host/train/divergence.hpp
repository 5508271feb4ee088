// Describes a training with non-finite values: the step, its rows, and the tensors concerned.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/train/training_pass.hpp"

namespace elbo {

/// Returns true if the loss terms and the gradient norm (if it was computed) are finite.
bool is_finite(const StepRecord& record);

struct Divergence {
  /// The reported values of a step.
  struct Step {
    uint64_t step = 0, epoch = 0;  // from 1
    std::vector<Metric> values;    // the result of metrics_of()
    double learning_rate = 0.0, beta = 0.0;
    std::optional<double> gradient_norm;  // if gradients are clipped
  };
  /// A parameter: the largest magnitude of its finite elements, and the number of non-finite
  /// elements.
  struct Tensor {
    std::string name;
    float largest_weight = 0.0f, largest_gradient = 0.0f;  // before the step; of the step
    int64_t weights_not_finite = 0, gradients_not_finite = 0;
  };

  Step step;               // the first step with non-finite values
  std::string what;        // not finite: "loss", "gradients", "weights" or (of the optimizer)
                           // "moments"; "weights or moments" if repeated is false
  uint64_t good_step = 0;  // the state from which the steps were replayed
  /// True if replaying the steps reproduced the divergence; if false, rows and tensors are empty.
  /// Steps are deterministic, so a difference indicates faulty hardware.
  bool repeated = false;
  std::vector<Step> before;    // the preceding steps that were inspected individually
  std::vector<uint32_t> rows;  // rows of the train file in the batch of the step
  uint32_t largest_row = 0;    // the row with the value of largest magnitude (as stored)
  double largest_value = 0.0;
  std::vector<Tensor> tensors;
  /// Set if training continues from good_step: the factor applied to the learning rate.
  std::optional<double> learning_rate_factor;
};

/// Returns the reported values of a step.
Divergence::Step reported(const StepRecord& record, const std::vector<ReportedTerm>& terms);

/// Inspects the step that `pass` has just run on rows of `train`, and sets the rows and tensors of
/// `divergence`. `weights` are the weights before the step.
void examine(Divergence& divergence, const Model& model, const Split& train,
             const TrainingPass& pass, int32_t rows, const std::vector<float>& weights);

/// Returns one line: "training diverged at step 12: ...".
std::string describe(const Divergence& divergence);

/// Returns the whole report as JSON. Non-finite numbers become "nan", "inf" and "-inf".
std::string to_json(const Divergence& divergence);

}  // namespace elbo
