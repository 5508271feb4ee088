#include "host/data/sample_pictures.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/core/error.hpp"

namespace elbo {
namespace {

constexpr std::uint8_t kGutterGrey = 96;  // distinct from black and white backgrounds
constexpr std::int64_t kTileSize = 64;    // that automatic scaling aims at

std::uint8_t to_grey_level(float value) {
  if (!(value > 0.0F)) return 0;  // also NaN
  return static_cast<std::uint8_t>(std::min(value, 1.0F) * 255.0F + 0.5F);
}

bool is_colour(std::int64_t channels) { return channels == 1 || channels == 3; }

void draw_tile(Image& image, const float* sample, const PictureLayout& layout, std::int64_t top,
               std::int64_t left, std::int64_t scale) {
  for (std::int64_t y = 0; y < layout.height * scale; ++y) {
    std::uint8_t* pixel = image.pixels.data() + ((top + y) * image.width + left) * image.channels;
    for (std::int64_t x = 0; x < layout.width * scale; ++x) {
      const float* element = sample + y / scale * layout.step_y + x / scale * layout.step_x;
      for (std::int64_t c = 0; c < image.channels; ++c) {
        *pixel++ = to_grey_level(element[c * layout.step_c]);
      }
    }
  }
}

}  // namespace

bool is_picture(const Shape& shape) {
  return shape.size() == 2 || (shape.size() == 3 && (is_colour(shape[0]) || is_colour(shape[2])));
}

PictureLayout picture_layout(const Shape& shape) {
  ELBO_ASSERT(element_count(shape) <= std::numeric_limits<std::int32_t>::max());
  std::vector<std::int32_t> extent(shape.begin(), shape.end());
  if (!is_picture(shape)) {
    const auto elements = static_cast<std::int32_t>(element_count(shape));
    auto height = static_cast<std::int32_t>(std::sqrt(static_cast<double>(elements)));
    while (elements % height != 0) --height;
    extent = {height, elements / height};
  }
  if (extent.size() == 3 && !is_colour(extent[0]))
    return {extent[0], extent[1], extent[2], extent[1] * extent[2], extent[2], 1};
  if (extent.size() == 2) extent.insert(extent.begin(), 1);
  return {extent[1], extent[2], extent[0], extent[2], 1, extent[1] * extent[2]};
}

Image tile_grid(std::span<const float> samples, const Shape& sample_shape,
                const GridOptions& options) {
  const std::int64_t elements = element_count(sample_shape);
  ELBO_ASSERT(elements > 0 && !samples.empty());
  const std::int64_t count = static_cast<std::int64_t>(samples.size()) / elements;
  ELBO_ASSERT(count * elements == static_cast<std::int64_t>(samples.size()));

  const PictureLayout layout = picture_layout(sample_shape);
  const std::int64_t longer_side = std::max(layout.height, layout.width);
  const std::int64_t scale =
      options.scale > 0 ? options.scale : std::max<std::int64_t>(1, kTileSize / longer_side);
  const std::int64_t cell_height = layout.height * scale + options.gutter;
  const std::int64_t cell_width = layout.width * scale + options.gutter;
  const double square = std::ceil(
      std::sqrt(static_cast<double>(count * cell_height) / static_cast<double>(cell_width)));
  const std::int64_t columns =
      std::min(count, options.columns > 0 ? options.columns : static_cast<std::int64_t>(square));
  const std::int64_t rows = (count + columns - 1) / columns;

  Image image;
  image.height = rows * cell_height + options.gutter;
  image.width = columns * cell_width + options.gutter;
  image.channels = layout.channels;
  image.pixels.assign(static_cast<std::size_t>(image.height * image.width * image.channels),
                      kGutterGrey);
  for (std::int64_t i = 0; i < count; ++i) {
    draw_tile(image, samples.data() + i * elements, layout,
              options.gutter + i / columns * cell_height, options.gutter + i % columns * cell_width,
              scale);
  }
  return image;
}

}  // namespace elbo
