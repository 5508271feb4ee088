#include "host/io/image.hpp"

#include <algorithm>
#include <utility>

#include "kernels/core/error.hpp"

namespace elbo {
namespace {

Image with_pixels(const Image& image, std::int64_t channels) {
  Image result{image.height, image.width, channels, {}};
  result.pixels.resize(static_cast<std::size_t>(image.height * image.width * channels));
  return result;
}

}  // namespace

Image to_grey(Image image) {
  if (image.channels == 1) return image;
  ELBO_ASSERT(image.channels == 3);
  // Weights in units of 1/65536; they sum to one.
  constexpr std::uint32_t kRed = 19595, kGreen = 38470, kBlue = 7471, kHalf = 32768;
  static_assert(kRed + kGreen + kBlue == 65536);
  Image grey = with_pixels(image, 1);
  const std::uint8_t* pixel = image.pixels.data();
  for (std::uint8_t& luma : grey.pixels) {
    luma = static_cast<std::uint8_t>(
        (kRed * pixel[0] + kGreen * pixel[1] + kBlue * pixel[2] + kHalf) >> 16);
    pixel += 3;
  }
  return grey;
}

Image to_rgb(Image image) {
  if (image.channels == 3) return image;
  ELBO_ASSERT(image.channels == 1);
  Image rgb = with_pixels(image, 3);
  std::uint8_t* out = rgb.pixels.data();
  for (const std::uint8_t luma : image.pixels) out = std::fill_n(out, 3, luma);
  return rgb;
}

void flatten_onto_white(Image& image) {
  ELBO_ASSERT(image.channels == 2 || image.channels == 4);
  const std::int64_t colours = image.channels - 1;
  std::uint8_t* out = image.pixels.data();  // in place: writes never overtake reads
  const std::uint8_t* pixel = out;
  for (std::int64_t i = 0; i < image.height * image.width; ++i) {
    const std::uint32_t alpha = pixel[colours];
    for (std::int64_t c = 0; c < colours; ++c) {
      *out++ = static_cast<std::uint8_t>((alpha * pixel[c] + (255 - alpha) * 255 + 127) / 255);
    }
    pixel += image.channels;
  }
  image.channels = colours;
  image.pixels.resize(static_cast<std::size_t>(image.height * image.width * colours));
}

Image turned_upright(Image image, int orientation) {
  ELBO_ASSERT(orientation >= 1 && orientation <= 8);
  if (orientation == 1) return image;
  const bool transposed = orientation >= 5;
  const bool rows_reversed =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool columns_reversed =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;

  Image upright = with_pixels(image, image.channels);
  if (transposed) std::swap(upright.height, upright.width);
  std::uint8_t* out = upright.pixels.data();
  for (std::int64_t y = 0; y < upright.height; ++y) {
    for (std::int64_t x = 0; x < upright.width; ++x) {
      std::int64_t row = transposed ? x : y;
      std::int64_t column = transposed ? y : x;
      if (rows_reversed) row = image.height - 1 - row;
      if (columns_reversed) column = image.width - 1 - column;
      const std::int64_t pixel = (row * image.width + column) * image.channels;
      out = std::copy_n(image.pixels.data() + pixel, image.channels, out);
    }
  }
  return upright;
}

}  // namespace elbo
