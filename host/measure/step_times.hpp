// How long a training step takes: whole, in its matrix products alone, and op by op.
#pragma once

#include <string>
#include <vector>

#include "host/measure/step_model.hpp"

namespace elbo {

/// Whether an op multiplies matrices: layers and convolutions, with their biases and activations.
bool is_product(const Op& op);
/// The ops of a program that do.
Program products_of(const Program& program);

struct StepTimes {
  double step = 0.0;      // seconds
  double products = 0.0;  // seconds, of its products alone, on the same buffers
  double flops = 0.0;     // of a step's products: multiplications and additions
};

/// Trains for at least `seconds`, as long on the products alone, in blocks of some milliseconds
/// that take turns; medians over the blocks.
StepTimes time_step(TrainingStep& training, double seconds);

/// All ops of one name in a step, with those whose work they do.
struct OpTimes {
  std::string name;
  int count = 0;
  double seconds = 0.0;  // together
  double flops = 0.0;    // of products
  double bytes = 0.0;    // that must move at least
};

/// A step by ops, in the order they first come up in: trains for at least `seconds` in blocks of
/// some milliseconds, of which the one of median length is told. Throws ConfigError if the
/// device cannot tell one op's time from another's.
std::vector<OpTimes> profile_step(TrainingStep& training, double seconds);

}  // namespace elbo
