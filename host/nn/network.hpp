// A network: layers in sequence, recorded forward and backward.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/nn/layers.hpp"

namespace elbo {

class Network {
 public:
  /// Layers `name`.0, `name`.1, … on rows of the feature map `in`; none for a linear model.
  Network(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
          std::span<const LayerSpec> layers);

  FeatureMap out() const { return layers_.empty() ? in_ : layers_.back()->out(); }
  void initialize(std::span<float> weights, uint64_t seed) const;

  /// The last layer's output as an operand of products; x if there are no layers.
  Value forward(Recorder& recorder, const Value& x) const;

 private:
  FeatureMap in_;
  std::vector<std::unique_ptr<Layer>> layers_;
};

/// Dense layers of these widths.
std::vector<LayerSpec> dense_layers(std::span<const int64_t> widths, math::Activation activation);

}  // namespace elbo
