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

  /// The layer's output, stored as `format` says. The layer must outlive the recorder's tape.
  Value forward(Recorder& recorder, const Value& x, Format format) const;

 private:
  void backward(Recorder& recorder, const Value& x, const Value& grad_y) const;

  int32_t in_, out_;
  math::Activation activation_;
  int64_t weight_, bias_;
};

}  // namespace elbo
