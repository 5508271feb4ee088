// A layer: parameters in the arena, and the ops that it records forward and backward.
#pragma once

#include <cstdint>
#include <span>

#include "host/nn/recorder.hpp"
#include "kernels/core/feature_map.hpp"

namespace elbo {

class Layer {
 public:
  virtual ~Layer() = default;

  /// The feature map of output rows; 1 x 1 pixels for vectors.
  virtual FeatureMap out() const = 0;
  /// Sets the layer's parameters. `weights` is the arena's image on the host, initially zero.
  virtual void initialize(std::span<float> weights, uint64_t seed) const = 0;
  /// Records and returns the layer's output, stored in `format`. The layer must outlive the
  /// recorder's tape.
  virtual Value forward(Recorder& recorder, const Value& x, Format format) const = 0;
};

/// Number of terms in a sum of a layer, forward and backward (fan-in and fan-out).
struct Fan {
  double in, out;
};

/// Fills `count` weights from `offset` on: Glorot and Bengio's uniform weights, He's for the ReLU
/// family, drawn from stream `initialize` of `seed` by their index in the arena, so that a tensor's
/// draw does not depend on the others.
void initialize_uniform(std::span<float> weights, int64_t offset, int64_t count, const Fan& fan,
                        math::Activation activation, uint64_t seed);

/// A tensor for the output of `activation`, and one for the pre-activation: null if no derivative
/// needs it.
struct ActivatedOutput {
  Value y;
  Reals preactivation;
};
ActivatedOutput activated_output(Recorder& recorder, Rows rows, int32_t columns, Format format,
                                 math::Activation activation);

}  // namespace elbo
