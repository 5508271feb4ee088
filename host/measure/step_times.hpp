// Times of a training step: the whole step, its matrix products alone, and each op.
#pragma once

#include <string>
#include <vector>

#include "host/measure/step_model.hpp"

namespace elbo {

/// True if an op multiplies matrices: dense layers and convolutions, with their biases and
/// activations.
bool is_product(const Op& op);
/// The ops of a program that multiply matrices.
Program products_of(const Program& program);

struct StepTimes {
  double step = 0.0;      // seconds
  double products = 0.0;  // seconds, of its products alone, on the same buffers
  double flops = 0.0;     // of a step's products: multiplications and additions
};

/// Trains for at least `seconds`, and runs the products alone for as long, in alternating blocks of
/// some milliseconds; returns medians over the blocks.
StepTimes time_step(TrainingStep& training, double seconds);

/// All ops of one name in a step, with the ops fused into them.
struct OpTimes {
  std::string name;
  int count = 0;
  double seconds = 0.0;  // together
  double flops = 0.0;    // of products
  double bytes = 0.0;    // that must move at least once
};

/// The times of a step by op, in the order of first occurrence. Trains for at least `seconds` in
/// blocks of some milliseconds and reports the block of median length. Throws ConfigError if the
/// device cannot time single ops.
std::vector<OpTimes> profile_step(TrainingStep& training, double seconds);

}  // namespace elbo
