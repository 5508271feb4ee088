// Pictures in memory, and their processing between a file and a row of a data set.
#pragma once

#include <cstdint>
#include <vector>

namespace elbo {

struct Image {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 1;         // 1 (grey) or 3 (RGB)
  std::vector<std::uint8_t> pixels;  // [height, width, channels]
};

/// The header of a picture's file, before decoding.
struct PictureHeader {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 1;  // 1 or 3, after decoding
  int orientation = 1;        // EXIF's; size as stored, but upright from read_picture_header()
};

/// An image of one channel: luma after Rec. 601, 0.299 R + 0.587 G + 0.114 B, rounded. Grey stays
/// grey, even if it is stored as RGB.
Image to_grey(Image image);

/// An image of three channels.
Image to_rgb(Image image);

/// Composites 8-bit pixels with an alpha channel (the last) on white: grey and alpha become grey,
/// RGBA becomes RGB.
void flatten_onto_white(Image& image);

/// The upright image. `orientation` (1 to 8) is EXIF's: which of the eight rotations and
/// reflections was applied to the stored image.
Image turned_upright(Image image, int orientation);

/// The middle of the image as side x side: scaled so that its shorter side becomes `side`; the
/// longer side is cropped equally at both ends. The filter is the Catmull-Rom cubic, widened by the
/// scale if the image shrinks. An image of that size is unchanged.
Image fitted_square(Image image, std::int64_t side);

}  // namespace elbo
