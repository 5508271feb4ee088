// Samples as pictures: the layout of a sample's elements as pixels, and grids of samples.
#pragma once

#include <cstdint>
#include <span>

#include "host/io/image.hpp"
#include "host/io/shape.hpp"
#include "kernels/math/picture.hpp"

namespace elbo {

using math::PictureLayout;

/// True if samples of this shape are pictures: the first two kinds below.
bool is_picture(const Shape& sample_shape);

/// Returns the layout of a sample as a picture. A sample of shape
///   [h, w]                                  is grey,
///   [c, h, w] or [h, w, c] with c = 1 or 3  is grey or RGB ([c, h, w] if both would fit),
///   anything else, D elements in all,       is grey, the most nearly square h x w = D with h <= w
/// (so that flattened 784 is 28 x 28 again, and a prime number of features is one strip).
PictureLayout picture_layout(const Shape& sample_shape);

struct GridOptions {
  std::int64_t columns = 0;  // 0: as many as make the picture nearly square
  std::int64_t gutter = 2;   // pixels between the tiles and around them
  std::int64_t scale = 0;    // each element becomes scale x scale pixels; 0: tiles of about 64
};

/// Arranges samples in reading order in one picture.
///
/// `samples` [count, sample_shape...] contains at least one sample, in the layout of
/// picture_layout(). Values in [0, 1] become 0 to 255, rounded; others are clamped and NaN is
/// black.
Image tile_grid(std::span<const float> samples, const Shape& sample_shape,
                const GridOptions& options = {});

}  // namespace elbo
