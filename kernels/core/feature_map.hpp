// A row of a tensor as pixels with channels: a picture, or the output of a layer.
#pragma once

#include <cstdint>

#include "kernels/math/portable.hpp"

namespace elbo {

/// A row's elements as [height, width, channels], channels contiguous.
struct FeatureMap {
  int32_t height = 1;
  int32_t width = 1;
  int32_t channels = 1;

  ELBO_HD int32_t pixels() const { return height * width; }
  ELBO_HD int32_t size() const { return height * width * channels; }
  bool operator==(const FeatureMap&) const = default;
};

}  // namespace elbo
