// The list of layers. A layer is described by a small struct of its settings; a network is a list
// of such descriptions. A new layer is a struct here and a line in LayerSpec, its class beside
// dense.hpp, and its case in make_layer. Tests and `elbo list layers` derive from the list.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "host/nn/convolution.hpp"
#include "host/nn/layer.hpp"
#include "kernels/math/resampling.hpp"

namespace elbo {

inline constexpr math::Activation kIdentityActivation = math::Activation::of<math::Identity>();

struct DenseSpec {
  static constexpr std::string_view name = "dense";
  static constexpr std::string_view summary = "φ(x W^T + b), of all elements";
  FeatureMap out;  // 1 x 1 for a vector
  math::Activation activation = kIdentityActivation;
};

struct ConvolutionSpec {
  static constexpr std::string_view name = "convolution";
  static constexpr std::string_view summary = "kernel, stride, padding, groups; bias, φ";
  int32_t channels = 1;
  ConvolutionTaps taps;
  math::Activation activation = kIdentityActivation;
};

struct TransposedConvolutionSpec {
  static constexpr std::string_view name = "transposed-convolution";
  static constexpr std::string_view summary =
      "the convolution's transpose, with output padding; bias, φ";
  int32_t channels = 1;
  ConvolutionTaps taps;
  math::Activation activation = kIdentityActivation;
};

struct ResampleSpec {
  static constexpr std::string_view name = "resample";
  static constexpr std::string_view summary =
      "upsampling (nearest, bilinear) or average pooling by a factor";
  math::Resampling resampling;
  int32_t factor = 2;
};

struct GroupNormSpec {
  static constexpr std::string_view name = "group-norm";
  static constexpr std::string_view summary =
      "φ(scale x̂ + offset), x̂ normalised over groups of channels (Wu and He 2018)";
  int32_t groups = 1;
  math::Activation activation = kIdentityActivation;
};

struct ResidualBlockSpec {
  static constexpr std::string_view name = "residual-block";
  static constexpr std::string_view summary =
      "x + conv(φ(norm(conv(φ(norm(x)))))) (He et al. 2016)";
  int32_t channels = 1;
  int32_t norm_groups = 8;  // at most
  math::Activation activation = kIdentityActivation;
};

using LayerSpec = std::variant<DenseSpec, ConvolutionSpec, TransposedConvolutionSpec, ResampleSpec,
                               GroupNormSpec, ResidualBlockSpec>;

/// The layer that `spec` describes, on rows of the feature map `in`; its parameters are called
/// `name`.something.
std::unique_ptr<Layer> make_layer(ParameterLayout& layout, const std::string& name,
                                  const FeatureMap& in, const LayerSpec& spec);

/// A word or two for people: "512", "conv 64", "up 2".
std::string describe(const LayerSpec& spec);

/// Calls `visit(name, summary)` for every layer of the list.
template <class Visit>
void for_each_layer(Visit&& visit) {
  [&]<class... Specs>(std::type_identity<std::variant<Specs...>>) {
    (visit(Specs::name, Specs::summary), ...);
  }(std::type_identity<LayerSpec>());
}

}  // namespace elbo
