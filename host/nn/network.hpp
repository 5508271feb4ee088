// A network: layers in a row, recorded forward and backward.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "host/nn/dense.hpp"

namespace elbo {

class Network {
 public:
  /// Dense layers `name`.0, `name`.1, … with the given widths; none for a linear model.
  Network(ParameterLayout& layout, const std::string& name, int32_t in,
          std::span<const int64_t> widths, math::Activation activation);

  int32_t out() const { return layers_.empty() ? in_ : layers_.back().out(); }
  void initialize(std::span<float> weights, uint64_t seed) const;

  /// The last layer's output, as products take it; x where there are no layers.
  Value forward(Recorder& recorder, const Value& x) const;

 private:
  int32_t in_;
  std::vector<Dense> layers_;
};

}  // namespace elbo
