// Pictures in memory, and what is done to them between a file and a row of a data set.
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

/// What a picture's file says of it before anything is decoded.
struct PictureHeader {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 1;  // 1 or 3, as it will be decoded
  int orientation = 1;        // as EXIF counts; size and pixels are those before turning
};

/// An image of one channel: luma after Rec. 601, 0.299 R + 0.587 G + 0.114 B, rounded. Grey stays
/// grey, also where it is stored as RGB.
Image to_grey(Image image);

/// An image of three channels.
Image to_rgb(Image image);

/// Lays 8-bit pixels with an alpha channel, which is their last, on white: grey and alpha become
/// grey, RGBA becomes RGB.
void flatten_onto_white(Image& image);

/// The image as it is to be seen, `orientation` (1 to 8) being EXIF's: which of the eight ways to
/// turn and mirror a picture has been applied to what is stored.
Image turned_upright(Image image, int orientation);

/// The middle of the image as side x side: scaled so that its shorter side becomes `side`, what
/// the longer one has beyond that cut off, half of it at each end. The filter is Catmull and Rom's
/// cubic, widened by the scale where the image shrinks. An image of that size stays as it is.
Image fitted_square(Image image, std::int64_t side);

}  // namespace elbo
