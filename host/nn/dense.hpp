// A dense layer: y = φ(x W^T + b).
#pragma once

#include <string>

#include "host/nn/layer.hpp"

namespace elbo {

class Dense : public Layer {
 public:
  /// Adds `name`.weight [out, in] and `name`.bias [out] to the layout. Later layers read the
  /// outputs as the feature map `out`.
  Dense(ParameterLayout& layout, const std::string& name, int32_t in, FeatureMap out,
        math::Activation activation);
  Dense(ParameterLayout& layout, const std::string& name, int32_t in, int32_t out,
        math::Activation activation)
      : Dense(layout, name, in, FeatureMap{1, 1, out}, activation) {}

  FeatureMap out() const override { return map_; }
  int32_t width() const { return map_.size(); }
  int64_t bias_offset() const { return bias_; }
  /// Zero biases.
  void initialize(std::span<float> weights, uint64_t seed) const override;
  Value forward(Recorder& recorder, const Value& x, Format format) const override;

 private:
  void backward(Recorder& recorder, const Value& x, const Value& grad_y) const;

  int32_t in_;
  FeatureMap map_;
  math::Activation activation_;
  int64_t weight_, bias_;
};

}  // namespace elbo
