// The number of active rows of a batch. Programs are recorded for the largest batch; the number of
// rows of a step (the last batch of an epoch is shorter) is read on the device at run time, so that
// one recorded program runs every step.
#pragma once

#include <cstdint>

#include "kernels/math/portable.hpp"

namespace elbo {

/// The state of a training. It is on the device, and the last op of each step advances it.
struct StepState {
  uint64_t step = 0;       // steps completed
  uint64_t epoch = 0;      // epochs completed
  uint32_t first_row = 0;  // the batch's first position in the epoch's order
  int32_t rows = 0;        // rows in the batch
  float learning_rate = 0.0f;
  float beta = 1.0f;         // weight of the KL term
  float capacity = 0.0f;     // target of the KL term in KlWeights, in nats
  float correction1 = 1.0f;  // math::OptimizerStep's
  float correction2 = 1.0f;
  /// Index of the first sample that latent ops draw for each input. If more samples are needed than
  /// a program has room for, it runs several times. Training never changes it.
  uint64_t first_sample = 0;
};

/// Rows of a tensor that has `per_input` rows for each input of the batch.
struct Rows {
  const StepState* state = nullptr;
  int32_t inputs = 0;  // inputs of a full batch
  int32_t per_input = 1;

  ELBO_HD int capacity() const { return inputs * per_input; }
  ELBO_HD int active() const { return state->rows * per_input; }
};

}  // namespace elbo
