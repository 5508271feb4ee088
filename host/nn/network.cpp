#include "host/nn/network.hpp"

namespace elbo {

Network::Network(ParameterLayout& layout, const std::string& name, int32_t in,
                 std::span<const int64_t> widths, math::Activation activation)
    : in_(in) {
  for (size_t i = 0; i < widths.size(); ++i)
    layers_.emplace_back(layout, name + "." + std::to_string(i), out(),
                         static_cast<int32_t>(widths[i]), activation);
}

void Network::initialize(std::span<float> weights, uint64_t seed) const {
  for (const Dense& layer : layers_) layer.initialize(weights, seed);
}

std::vector<Value> Network::forward(Recorder& recorder, const Value& x) const {
  std::vector<Value> values = {x};
  for (const Dense& layer : layers_)
    values.push_back(layer.forward(recorder, values.back(), recorder.factor_format()));
  return values;
}

Value Network::backward(Recorder& recorder, std::span<const Value> values, Value grad,
                        bool input_gradient) const {
  for (size_t i = layers_.size(); i-- > 0;)
    grad = layers_[i].backward(recorder, values[i], grad, i > 0 || input_gradient);
  return grad;
}

}  // namespace elbo
