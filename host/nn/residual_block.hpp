// A residual block with its activations before the weights (He et al., "Identity mappings in deep
// residual networks", 2016): y = s(x) + conv(φ(norm(conv(φ(norm(x)))))), both convolutions 3 x 3;
// s is the identity, or a 1 x 1 convolution if the number of channels changes.
#pragma once

#include <optional>
#include <string>

#include "host/nn/convolution.hpp"
#include "host/nn/group_norm.hpp"

namespace elbo {

class ResidualBlock : public Layer {
 public:
  /// Adds `name`.norm1, .conv1, .norm2, .conv2 and possibly .skip to the layout. The layer before
  /// must have no activation.
  ResidualBlock(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
                int32_t channels, int32_t norm_groups, math::Activation activation);

  FeatureMap out() const override { return conv2_.out(); }
  void initialize(std::span<float> weights, uint64_t seed) const override;
  Value forward(Recorder& recorder, const Value& x, Format format) const override;

 private:
  GroupNorm norm1_;
  Convolution conv1_;
  GroupNorm norm2_;
  Convolution conv2_;
  std::optional<Convolution> skip_;
};

}  // namespace elbo
