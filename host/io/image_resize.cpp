// fitted_square() of image.hpp, with the resampler of the installed version of stb.
#include <algorithm>
#include <cmath>
#include <new>

#include "host/io/image.hpp"
#include "kernels/core/error.hpp"

#if __has_include(<stb_image_resize2.h>)
#define STB_IMAGE_RESIZE2_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb_image_resize2.h>
#else
#define STBIR_ASSERT(condition)  // one assertion rejects zero weights, which are harmless
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb_image_resize.h>
#endif

namespace elbo {
namespace {

/// Along one axis: reads the pixels first ≤ i < last; [begin, end) of them fills the result.
struct Interval {
  std::int64_t first, last;
  double begin, end;  // counted from `first`
};

/// The middle of `length` pixels that are scaled so that the shorter side, `shorter`, becomes
/// `side`. Equivalent to scaling to a whole number of pixels and cropping at a whole one.
Interval middle_of(std::int64_t length, std::int64_t shorter, std::int64_t side) {
  const double ratio = static_cast<double>(side) / static_cast<double>(shorter);
  const std::int64_t scaled =
      std::max<std::int64_t>(side, std::llround(static_cast<double>(length) * ratio));
  const std::int64_t cut = (scaled - side) / 2;
  const double step = static_cast<double>(length) / static_cast<double>(scaled);
  const double begin = static_cast<double>(cut) * step;
  const double end = std::min(static_cast<double>(cut + side) * step, static_cast<double>(length));
  // The filter reaches two pixels of the coarser grid to either side.
  const double reach = 2.0 * std::max(step, 1.0) + 1.0;
  const auto first = static_cast<std::int64_t>(std::max(0.0, std::floor(begin - reach)));
  const auto last = std::min(length, static_cast<std::int64_t>(std::ceil(end + reach)));
  const auto offset = static_cast<double>(first);
  return {first, last, begin - offset, end - offset};
}

bool resample(const std::uint8_t* pixels, const Image& image, const Interval& rows,
              const Interval& columns, Image& out) {
  const auto height = static_cast<int>(rows.last - rows.first);
  const auto width = static_cast<int>(columns.last - columns.first);
  const auto stride = static_cast<int>(image.width * image.channels);
  const auto side = static_cast<int>(out.width);
  const double left = columns.begin / width, right = std::min(columns.end / width, 1.0);
  const double top = rows.begin / height, bottom = std::min(rows.end / height, 1.0);
#ifdef STBIR_INCLUDE_STB_IMAGE_RESIZE2_H
  STBIR_RESIZE resize;
  stbir_resize_init(&resize, pixels, width, height, stride, out.pixels.data(), side, side, 0,
                    image.channels == 3 ? STBIR_RGB : STBIR_1CHANNEL, STBIR_TYPE_UINT8);
  stbir_set_input_subrect(&resize, left, top, right, bottom);
  stbir_set_filters(&resize, STBIR_FILTER_CATMULLROM, STBIR_FILTER_CATMULLROM);
  return stbir_resize_extended(&resize) != 0;
#else
  return stbir_resize_region(
             pixels, width, height, stride, out.pixels.data(), side, side, 0, STBIR_TYPE_UINT8,
             static_cast<int>(image.channels), STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP,
             STBIR_EDGE_CLAMP, STBIR_FILTER_CATMULLROM, STBIR_FILTER_CATMULLROM,
             STBIR_COLORSPACE_LINEAR, nullptr, static_cast<float>(left), static_cast<float>(top),
             static_cast<float>(right), static_cast<float>(bottom)) != 0;
#endif
}

}  // namespace

Image fitted_square(Image image, std::int64_t side) {
  if (image.height == side && image.width == side) return image;
  const std::int64_t shorter = std::min(image.height, image.width);
  ELBO_ASSERT(side > 0 && shorter > 0);
  const Interval rows = middle_of(image.height, shorter, side);
  const Interval columns = middle_of(image.width, shorter, side);
  const std::uint8_t* corner =
      image.pixels.data() + (rows.first * image.width + columns.first) * image.channels;
  Image out{side, side, image.channels, {}};
  out.pixels.resize(static_cast<std::size_t>(side * side * image.channels));
  // It fails only if memory is exhausted, because sizes and region are valid.
  if (!resample(corner, image, rows, columns, out)) throw std::bad_alloc();
  return out;
}

}  // namespace elbo
