// A dense layer: y = φ(x W^T + b).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/nn/recorder.hpp"

namespace elbo {

class Dense {
 public:
  /// Adds `name`.weight [out, in] and `name`.bias [out] to the layout.
  Dense(ParameterLayout& layout, const std::string& name, int32_t in, int32_t out,
        math::Activation activation);

  int32_t in() const { return in_; }
  int32_t out() const { return out_; }
  int64_t bias_offset() const { return bias_; }

  /// Glorot and Bengio's uniform weights, He's for the ReLU family, drawn from stream
  /// `initialize` of `seed`; zero biases. `weights` is the arena's image on the host.
  void initialize(std::span<float> weights, uint64_t seed) const;

  /// The layer's output, stored as `format` says.
  Value forward(Recorder& recorder, const Value& x, Format format) const;
  /// From the gradient at the pre-activation of y: the parameters' gradients, and, if asked for,
  /// the gradient at the pre-activation of x.
  Value backward(Recorder& recorder, const Value& x, const Value& grad_y,
                 bool input_gradient) const;

 private:
  int32_t in_, out_;
  math::Activation activation_;
  int64_t weight_, bias_;
};

}  // namespace elbo
