// 8-bit PNG files, and grids of samples as one picture.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "host/io/shape.hpp"

namespace elbo {

struct Image {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 1;         // 1 (grey) or 3 (RGB)
  std::vector<std::uint8_t> pixels;  // [height, width, channels]
};

/// Writes the image (atomically). Throws DataError where libpng or the file system refuses.
void write_png(const std::filesystem::path& path, const Image& image);

/// How a sample is read as a picture: element (y, x, c) lies at y * step_y + x * step_x + c *
/// step_c.
struct PictureLayout {
  std::int64_t height, width, channels;
  std::int64_t step_y, step_x, step_c;
};

/// A sample of shape
///   [h, w]                                  is grey,
///   [c, h, w] or [h, w, c], c being 1 or 3, is grey or RGB (the former where both would do),
///   anything else, D elements in all,       is grey, the most nearly square h x w = D with h <= w
/// (so that flattened 784 is 28 x 28 again, and a prime number of features is one strip).
PictureLayout picture_layout(const Shape& sample_shape);

struct GridOptions {
  std::int64_t columns = 0;  // 0: as many as make the picture nearly square
  std::int64_t gutter = 2;   // pixels between the tiles and around them
  std::int64_t scale = 0;    // each element becomes scale x scale pixels; 0: tiles of about 64
};

/// Lays samples out in reading order on one picture.
///
/// `samples` [count, sample_shape...] holds at least one sample, read as picture_layout() says;
/// values in [0, 1] become 0 to 255, rounded, others are clamped and NaN is black.
Image tile_grid(std::span<const float> samples, const Shape& sample_shape,
                const GridOptions& options = {});

}  // namespace elbo
