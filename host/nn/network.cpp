#include "host/nn/network.hpp"

#include "host/io/formatted.hpp"

namespace elbo {

Network::Network(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
                 std::span<const LayerSpec> layers)
    : in_(in) {
  for (size_t i = 0; i < layers.size(); ++i)
    layers_.push_back(make_layer(layout, formatted("{}.{}", name, i), out(), layers[i]));
}

void Network::initialize(std::span<float> weights, uint64_t seed) const {
  for (const auto& layer : layers_) layer->initialize(weights, seed);
}

Value Network::forward(Recorder& recorder, const Value& x) const {
  Value value = x;
  for (const auto& layer : layers_)
    value = layer->forward(recorder, value, recorder.factor_format());
  return value;
}

std::vector<LayerSpec> dense_layers(std::span<const int64_t> widths, math::Activation activation) {
  std::vector<LayerSpec> layers;
  for (const int64_t width : widths)
    layers.push_back(DenseSpec{{1, 1, static_cast<int32_t>(width)}, activation});
  return layers;
}

}  // namespace elbo
