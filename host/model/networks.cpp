#include "host/model/networks.hpp"

#include <algorithm>

#include "host/data/sample_pictures.hpp"
#include "host/io/formatted.hpp"
#include "host/nn/group_norm.hpp"
#include "host/nn/network.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

constexpr int32_t kNormGroups = 8;  // upper limit

std::string size_of(const FeatureMap& map) { return formatted("{} x {}", map.height, map.width); }

/// Returns a convolution that keeps height and width.
ConvolutionTaps keeping(const NetworkSettings& settings) {
  const auto kernel = static_cast<int32_t>(
      settings.kernel_size % 2 == 1 ? settings.kernel_size : settings.kernel_size - 1);
  return {.kernel = kernel, .padding = kernel / 2};
}
/// Returns a convolution that halves height and width.
ConvolutionTaps halving(const NetworkSettings& settings) {
  const auto kernel = static_cast<int32_t>(settings.kernel_size);
  return {.kernel = kernel, .stride = 2, .padding = (kernel - 1) / 2};
}
/// Returns a transposed convolution from `narrow` to `wide`.
ConvolutionTaps doubling(const NetworkSettings& settings, const FeatureMap& narrow,
                         const FeatureMap& wide) {
  ConvolutionTaps taps = halving(settings);
  const FeatureMap least = transposed_convolution_shape(narrow, 1, taps).wide;
  taps.output_padding = {wide.height - least.height, wide.width - least.width};
  return taps;
}

bool pools(const NetworkSettings& settings) {
  return settings.downsampling == Downsampling::average;
}

FeatureMap halved(const NetworkSettings& settings, const FeatureMap& map) {
  if (pools(settings)) return {map.height / 2, map.width / 2, map.channels};
  return convolution_shape(map, map.channels, halving(settings)).narrow;
}

/// Returns the feature maps between stages: the data, then the output of each stage.
std::vector<FeatureMap> stage_maps(const NetworkSettings& settings, const FeatureMap& data) {
  std::vector<FeatureMap> maps = {data};
  if (settings.channels.empty()) {
    constexpr int32_t kFirst = 32, kMost = 256, kSmallest = 5;
    for (int32_t channels = kFirst; std::max(maps.back().height, maps.back().width) > kSmallest;
         channels = std::min(2 * channels, kMost)) {
      FeatureMap map = halved(settings, maps.back());
      if (map.pixels() <= 0) break;
      map.channels = channels;
      maps.push_back(map);
    }
    return maps;
  }
  for (const int64_t channels : settings.channels) {
    FeatureMap map = halved(settings, maps.back());
    if (map.height < 1 || map.width < 1)
      throw ConfigError(formatted(
          "channels: got {} stages, but {} bring {} down to {}; expected at most that number",
          settings.channels.size(), maps.size() - 1, size_of(data), size_of(maps.back())));
    map.channels = static_cast<int32_t>(channels);
    maps.push_back(map);
  }
  return maps;
}

/// Builds the list of layers of one network.
class Stages {
 public:
  Stages(const NetworkSettings& settings, math::Activation activation, bool residual)
      : settings_(settings),
        activation_(activation),
        blocks_(residual ? settings.residual_blocks : 0) {}

  void add(LayerSpec layer) { layers_.push_back(std::move(layer)); }
  /// Returns the activation to fuse into the first layer of a stage; identity if a norm or residual
  /// blocks follow.
  math::Activation begun() const { return fuses() ? activation_ : kIdentityActivation; }
  void end_stage(int32_t channels) {
    for (int64_t i = 0; i < blocks_; ++i)
      add(ResidualBlockSpec{channels, kNormGroups, activation_});
    if (blocks_ == 0 && !fuses()) norm(channels);
  }
  /// Ends the last stage.
  void end(int32_t channels) {
    if (blocks_ > 0) norm(channels);
  }
  void dense(const std::vector<int64_t>& widths) {
    for (LayerSpec& layer : dense_layers(widths, activation_)) add(std::move(layer));
  }
  std::vector<LayerSpec> take() { return std::move(layers_); }

 private:
  bool fuses() const { return blocks_ == 0 && settings_.normalization == Normalization::none; }
  void norm(int32_t channels) {
    add(GroupNormSpec{fitting_groups(channels, kNormGroups), activation_});
  }

  const NetworkSettings& settings_;
  math::Activation activation_;
  int64_t blocks_;
  std::vector<LayerSpec> layers_;
};

/// Adds the downsampling stages and the end of the last stage.
void add_halving_stages(Stages& stages, const NetworkSettings& settings,
                        const std::vector<FeatureMap>& maps) {
  for (size_t i = 1; i < maps.size(); ++i) {
    const int32_t channels = maps[i].channels;
    const ConvolutionTaps taps = pools(settings) ? keeping(settings) : halving(settings);
    stages.add(ConvolutionSpec{channels, taps, stages.begun()});
    if (pools(settings)) stages.add(ResampleSpec{math::Resampling::of<math::AveragePooling>(), 2});
    stages.end_stage(channels);
  }
  if (maps.size() > 1) stages.end(maps.back().channels);
}

math::Resampling resampling(Upsampling upsampling) {
  return upsampling == Upsampling::nearest ? math::Resampling::of<math::NearestUpsampling>()
                                           : math::Resampling::of<math::BilinearUpsampling>();
}

/// One upsampling step of the decoder: a resampling layer if the convolution is not transposed, and
/// the convolution.
struct Doubling {
  std::vector<LayerSpec> before;
  LayerSpec convolution;
};

Doubling doubled(const NetworkSettings& settings, const FeatureMap& from, const FeatureMap& to,
                 int32_t channels, math::Activation activation) {
  if (settings.upsampling == Upsampling::transposed)
    return {{}, TransposedConvolutionSpec{channels, doubling(settings, from, to), activation}};
  if (2 * from.height != to.height || 2 * from.width != to.width)
    throw ConfigError(said(settings, settings.upsampling) + ": from " + size_of(from) + " to " +
                      size_of(to) +
                      " is not twice as high and wide; use upsampling transposed, fewer stages "
                      "(channels), or another image-size");
  return {{ResampleSpec{resampling(settings.upsampling), 2}},
          ConvolutionSpec{channels, keeping(settings), activation}};
}

}  // namespace

void NetworkSettings::check(Combination& c) const {
  c.needs(convolutional(), c.said(network), "it only applies to network conv; use it", channels,
          kernel_size, downsampling, upsampling, normalization, residual_blocks);
}

DataMap data_map(const NetworkSettings& settings, const Shape& sample_shape) {
  if (!settings.convolutional())
    return {{1, 1, static_cast<int32_t>(element_count(sample_shape))}, false};
  const PictureLayout layout = picture_layout(sample_shape);
  const bool flattened = sample_shape.size() == 1;
  if (!(flattened || is_picture(sample_shape)) || layout.height < 2 || layout.width < 2)
    throw ConfigError("network conv: rows of shape " + to_string(sample_shape) +
                      " are no pictures; use network dense");
  return {{layout.height, layout.width, layout.channels},
          layout.channels > 1 && layout.step_c != 1};
}

std::vector<LayerSpec> encoder_layers(const NetworkSettings& settings, const FeatureMap& data) {
  const math::Activation activation = settings.activation;
  Stages stages(settings, activation, true);
  if (settings.convolutional()) add_halving_stages(stages, settings, stage_maps(settings, data));
  stages.dense(settings.hidden);
  return stages.take();
}

DecoderLayers decoder_layers(const NetworkSettings& settings, const FeatureMap& data,
                             int32_t outputs) {
  const math::Activation activation = settings.activation;
  Stages stages(settings, activation, true);
  stages.dense({settings.hidden.rbegin(), settings.hidden.rend()});
  const FeatureMap out = {data.height, data.width, outputs * data.channels};
  if (!settings.convolutional()) return {stages.take(), DenseSpec{out}};
  const std::vector<FeatureMap> maps = stage_maps(settings, data);
  if (maps.size() == 1) return {stages.take(), DenseSpec{out}};
  stages.add(DenseSpec{maps.back(), stages.begun()});
  stages.end_stage(maps.back().channels);
  for (size_t i = maps.size() - 1; i > 1; --i) {
    const int32_t channels = maps[i - 1].channels;
    Doubling step = doubled(settings, maps[i], maps[i - 1], channels, stages.begun());
    for (LayerSpec& layer : step.before) stages.add(std::move(layer));
    stages.add(std::move(step.convolution));
    stages.end_stage(channels);
  }
  stages.end(maps[1].channels);
  Doubling last = doubled(settings, maps[1], data, out.channels, kIdentityActivation);
  for (LayerSpec& layer : last.before) stages.add(std::move(layer));
  return {stages.take(), std::move(last.convolution)};
}

std::vector<LayerSpec> critic_layers(const NetworkSettings& settings, const FeatureMap& data,
                                     bool stages, const std::vector<int64_t>& hidden,
                                     math::Activation activation) {
  Stages layers(settings, activation, false);
  if (settings.convolutional() && stages)
    add_halving_stages(layers, settings, stage_maps(settings, data));
  layers.dense(hidden);
  return layers.take();
}

}  // namespace elbo
