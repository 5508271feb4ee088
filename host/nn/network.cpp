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

Value Network::forward(Recorder& recorder, const Value& x) const {
  Value value = x;
  for (const Dense& layer : layers_)
    value = layer.forward(recorder, value, recorder.factor_format());
  return value;
}

}  // namespace elbo
