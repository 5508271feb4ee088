// The layers that the settings make of an encoder, a decoder and a discriminator.
//
// Network conv is made of stages, each of which halves a picture's height and width:
//
//   convolution ▸ [group norm] ▸ φ                    plain
//   convolution ▸ residual blocks … ▸ group norm ▸ φ  with residual blocks; norm and φ after the
//                                                     last stage only, since a block begins with
//                                                     its own
//
// then the dense hidden layers. The decoder is its mirror image.
#pragma once

#include <vector>

#include "host/io/shape.hpp"
#include "host/model/config.hpp"
#include "host/nn/layers.hpp"

namespace elbo {

/// How networks read a row of data.
struct DataMap {
  FeatureMap map;
  bool planar = false;  // stored plane by plane, [channels, height, width]
};

/// Pictures for network conv, otherwise vectors. Throws ConfigError where network conv is wanted
/// for data that are no pictures.
DataMap data_map(const Config& config, const Shape& sample_shape);

/// From data to what the bottleneck reads. Throws ConfigError where the stages do not fit the size.
std::vector<LayerSpec> encoder_layers(const Config& config, const FeatureMap& data);

/// From a code to what the output layer reads, and that layer: `outputs` numbers for each element
/// of the data, all of a pixel's first elements, then all of its second ones. Throws as above.
struct DecoderLayers {
  std::vector<LayerSpec> hidden;
  LayerSpec output;
};
DecoderLayers decoder_layers(const Config& config, const FeatureMap& data, int32_t outputs);

/// Up to what the logit's layer reads. `data` is what is judged; codes are judged by dense layers.
std::vector<LayerSpec> discriminator_layers(const Config& config, const FeatureMap& data);

}  // namespace elbo
