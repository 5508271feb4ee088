// Contract: group normalisation (Wu and He 2018). The elements of each group of a row's channels
// are normalised to mean 0 and variance 1, then scaled and shifted per channel.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/feature_map.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

/// y = φ(scale x̂ + offset), x̂ = (x - mean) rstd, rstd = 1 / sqrt(variance + epsilon), with mean
/// and variance over the pixels and channels of a row's group; the variance is the mean squared
/// deviation.
/// Group g consists of channels [g, g + 1) * channels / groups, which must be an integer.
struct GroupNormForward {
  static constexpr std::string_view name = "group_norm_forward";
  Rows rows;
  FeatureMap map;
  int32_t groups = 1;
  float epsilon = 1e-5f;
  math::Activation activation;
  ConstReals x;                   // [rows, map]
  const float* scale = nullptr;   // [channels]
  const float* offset = nullptr;  // [channels]
  Reals y;                        // [rows, map]
  Reals preactivation;            // [rows, map], like y; for activations whose derivative needs it
  float* mean = nullptr;          // [rows, groups]
  float* rstd = nullptr;          // [rows, groups]

  AccessList accesses() const {
    const int64_t m = rows.capacity(), elements = m * map.size();
    return AccessList()
        .reads(rows.state, 1)
        .reads(x, elements)
        .reads(scale, map.channels)
        .reads(offset, map.channels)
        .writes(y, elements)
        .writes(preactivation, elements)
        .writes(mean, m * groups)
        .writes(rstd, m * groups);
  }
  std::string sizes() const {
    return sizes_text({rows.capacity(), map.height, map.width, map.channels});
  }
  double flops() const { return 0.0; }
};

/// With h = grad_y ∘ scale and means over a row's group:
///   grad_x = rstd (h - mean(h) - x̂ mean(h ∘ x̂)) ∘ φ'(saved), as in DenseBackwardInput
///   grad_scale[r, c] = sum over pixels of grad_y x̂, grad_offset[r, c] = sum of grad_y,
/// whose sums over the rows are the gradients of scale and offset.
struct GroupNormBackward {
  static constexpr std::string_view name = "group_norm_backward";
  Rows rows;
  FeatureMap map;
  int32_t groups = 1;
  math::Activation activation;   // of the layer that computed x
  ConstReals grad_y;             // [rows, map]
  ConstReals x;                  // [rows, map]
  const float* scale = nullptr;  // [channels]
  const float* mean = nullptr;   // [rows, groups]
  const float* rstd = nullptr;   // [rows, groups]
  ConstReals saved;              // [rows, map], like grad_x, or null
  Reals grad_x;                  // [rows, map], or null
  float* grad_scale = nullptr;   // [rows, channels], or null
  float* grad_offset = nullptr;  // [rows, channels], or null

  AccessList accesses() const {
    const int64_t m = rows.capacity(), elements = m * map.size();
    return AccessList()
        .reads(rows.state, 1)
        .reads(grad_y, elements)
        .reads(x, elements)
        .reads(scale, map.channels)
        .reads(mean, m * groups)
        .reads(rstd, m * groups)
        .reads(saved, elements)
        .writes(grad_x, elements)
        .writes(grad_scale, m * map.channels)
        .writes(grad_offset, m * map.channels);
  }
  std::string sizes() const {
    return sizes_text({rows.capacity(), map.height, map.width, map.channels});
  }
  double flops() const { return 0.0; }
};

}  // namespace elbo
