// Builds the layers of an encoder, a decoder and a discriminator from the settings.
//
// Network conv consists of stages, each of which halves the height and width of a picture:
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
#include "host/nn/layers.hpp"
#include "host/settings/combination.hpp"
#include "kernels/math/resampling.hpp"

namespace elbo {

enum class NetworkType { dense, conv };
constexpr auto names_of(NetworkType) { return std::array<std::string_view, 2>{"dense", "conv"}; }
enum class Downsampling { strided, average };
constexpr auto names_of(Downsampling) {
  return std::array<std::string_view, 2>{"strided", "average"};
}
enum class Upsampling { transposed, nearest, bilinear };
constexpr auto names_of(Upsampling) {
  return std::array<std::string_view, 3>{"transposed", "nearest", "bilinear"};
}
enum class Normalization { none, group };
constexpr auto names_of(Normalization) { return std::array<std::string_view, 2>{"none", "group"}; }

struct NetworkSettings {
  static constexpr std::string_view title = "network";
  NetworkType network = NetworkType::dense;
  std::vector<int64_t> channels = {};
  int64_t kernel_size = 4;
  Downsampling downsampling = Downsampling::strided;
  Upsampling upsampling = Upsampling::transposed;
  Normalization normalization = Normalization::none;
  int64_t residual_blocks = 0;
  std::vector<int64_t> hidden = {512, 256};
  math::Activation activation = math::Activation::of<math::Relu>();

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("network", s.network, Any{},
      "network type of the encoder, decoder and data discriminator: dense, or conv (downsampling "
      "stages, then the hidden layers)");
    v("channels", s.channels, Each{AtLeast{1, 1e5}},
      "channels of each stage of network conv; none given: 32, doubled up to 256, down to 3 to 5 "
      "pixels");
    v("kernel-size", s.kernel_size, Between{2, 16}, "width of a stage's convolution kernel");
    v("downsampling", s.downsampling, Any{},
      "downsampling in each stage: strided convolution, or average pooling after it");
    v("upsampling", s.upsampling, Any{},
      "upsampling in the decoder: transposed convolution, or nearest or bilinear before one");
    v("normalization", s.normalization, Any{},
      "normalization of a stage before its activation: none, or group (Wu and He 2018)");
    v("residual-blocks", s.residual_blocks, Between{0, 100},
      "residual blocks in each stage, between its convolution and its activation");
    v("hidden", s.hidden, Each{AtLeast{1, 1e6}},
      "widths of the encoder's hidden layers; the decoder mirrors them");
    v("activation", s.activation, Any{},
      "activation of the hidden layers (`elbo list activations`)");
  }
  bool operator==(const NetworkSettings&) const = default;

  bool convolutional() const { return network == NetworkType::conv; }
  void check(Combination& c) const;
};

/// The layout of a row of data, as networks read it.
struct DataMap {
  FeatureMap map;
  bool planar = false;  // stored plane by plane, [channels, height, width]
};

/// Returns a picture layout for network conv, otherwise a vector. Throws ConfigError if network
/// conv is used for data that are no pictures.
DataMap data_map(const NetworkSettings& settings, const Shape& sample_shape);

/// Returns the layers from the data to the bottleneck. Throws ConfigError if the picture is too
/// small for the number of stages.
std::vector<LayerSpec> encoder_layers(const NetworkSettings& settings, const FeatureMap& data);

/// The layers from a code to the output layer, and the output layer. It has `outputs` values for
/// each element of the data: for each pixel, the first value of every channel, then the second.
struct DecoderLayers {
  std::vector<LayerSpec> hidden;
  LayerSpec output;
};
DecoderLayers decoder_layers(const NetworkSettings& settings, const FeatureMap& data,
                             int32_t outputs);

/// Returns a network with these hidden layers that reads data. The stages of an encoder precede
/// them if `stages` is true and the network is convolutional.
std::vector<LayerSpec> critic_layers(const NetworkSettings& settings, const FeatureMap& data,
                                     bool stages, const std::vector<int64_t>& hidden,
                                     math::Activation activation);

}  // namespace elbo
