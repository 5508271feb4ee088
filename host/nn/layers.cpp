#include "host/nn/layers.hpp"

#include "host/io/formatted.hpp"
#include "host/nn/dense.hpp"
#include "host/nn/group_norm.hpp"
#include "host/nn/resample.hpp"
#include "host/nn/residual_block.hpp"

namespace elbo {
namespace {

using Made = std::unique_ptr<Layer>;

Made make(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
          const DenseSpec& s) {
  return std::make_unique<Dense>(layout, name, in.size(), s.out, s.activation);
}
Made make(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
          const ConvolutionSpec& s) {
  return std::make_unique<Convolution>(layout, name, convolution_shape(in, s.channels, s.taps),
                                       false, s.activation);
}
Made make(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
          const TransposedConvolutionSpec& s) {
  return std::make_unique<Convolution>(
      layout, name, transposed_convolution_shape(in, s.channels, s.taps), true, s.activation);
}
Made make(ParameterLayout&, const std::string&, const FeatureMap& in, const ResampleSpec& s) {
  return std::make_unique<Resample>(in, s.resampling, s.factor);
}
Made make(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
          const GroupNormSpec& s) {
  return std::make_unique<GroupNorm>(layout, name, in, s.groups, s.activation);
}
Made make(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
          const ResidualBlockSpec& s) {
  return std::make_unique<ResidualBlock>(layout, name, in, s.channels, s.norm_groups, s.activation);
}

std::string text(const DenseSpec& s) {
  if (s.out.pixels() == 1) return std::to_string(s.out.channels);
  return formatted("{}x{}x{}", s.out.height, s.out.width, s.out.channels);
}
std::string text(const ConvolutionSpec& s) { return "conv " + std::to_string(s.channels); }
std::string text(const TransposedConvolutionSpec& s) {
  return "deconv " + std::to_string(s.channels);
}
std::string text(const ResampleSpec& s) {
  return formatted("{} {}", s.resampling.name(), s.factor);
}
std::string text(const GroupNormSpec&) { return "norm"; }
std::string text(const ResidualBlockSpec& s) { return "residual " + std::to_string(s.channels); }

}  // namespace

std::unique_ptr<Layer> make_layer(ParameterLayout& layout, const std::string& name,
                                  const FeatureMap& in, const LayerSpec& spec) {
  return std::visit([&](const auto& s) { return make(layout, name, in, s); }, spec);
}

std::string describe(const LayerSpec& spec) {
  return std::visit([](const auto& s) { return text(s); }, spec);
}

}  // namespace elbo
