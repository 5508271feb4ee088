// Group normalisation with a scale and an offset per channel, and an activation: y = φ(scale x̂ +
// offset).
#pragma once

#include <string>

#include "host/nn/layer.hpp"
#include "kernels/group_norm.hpp"

namespace elbo {

class GroupNorm : public Layer {
 public:
  /// Adds `name`.weight and `name`.bias [channels] to the layout.
  GroupNorm(ParameterLayout& layout, const std::string& name, const FeatureMap& map, int32_t groups,
            math::Activation activation);

  FeatureMap out() const override { return map_; }
  /// Scales of 1, offsets of 0.
  void initialize(std::span<float> weights, uint64_t seed) const override;
  Value forward(Recorder& recorder, const Value& x, Format format) const override;

 private:
  struct Statistics {
    float *mean, *rstd;  // [rows, groups]
  };
  void backward(Recorder& recorder, const Value& x, const Statistics& statistics,
                const Value& grad_y) const;

  FeatureMap map_;
  int32_t groups_;
  math::Activation activation_;
  int64_t scale_, offset_;
};

/// The largest number of groups up to `wanted` that divides the channels.
int32_t fitting_groups(int32_t channels, int32_t wanted);

}  // namespace elbo
