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

  /// Every value from x to the output, in order.
  std::vector<Value> forward(Recorder& recorder, const Value& x) const;
  /// From the gradient at the pre-activation of the last value to the one at x's, the latter only
  /// if `input_gradient`.
  Value backward(Recorder& recorder, std::span<const Value> values, Value grad,
                 bool input_gradient) const;

 private:
  int32_t in_;
  std::vector<Dense> layers_;
};

}  // namespace elbo
