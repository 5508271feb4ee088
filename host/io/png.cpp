#include "host/io/png.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <limits>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

constexpr std::uint8_t kGutterGrey = 96;  // tells itself from black and white backgrounds alike
constexpr std::int64_t kTileSize = 64;    // what automatic scaling aims at

/// What libpng's callbacks see: it is C, so nothing may be thrown through it.
struct PngSink {
  std::vector<std::byte> bytes;
  std::array<char, 200> error{};
};

void on_error(png_structp png, png_const_charp message) {
  auto& sink = *static_cast<PngSink*>(png_get_error_ptr(png));
  std::snprintf(sink.error.data(), sink.error.size(), "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_write(png_structp png, png_bytep data, std::size_t size) {
  auto& sink = *static_cast<PngSink*>(png_get_io_ptr(png));
  bool stored = false;
  try {
    const auto* first = reinterpret_cast<const std::byte*>(data);
    sink.bytes.insert(sink.bytes.end(), first, first + size);
    stored = true;
  } catch (...) {
  }
  if (!stored) png_error(png, "out of memory");
}

void on_flush(png_structp) {}

/// Returns false where libpng failed. This frame is the one longjmp returns to, so it and those
/// it calls hold nothing that has a destructor.
bool encode(png_structp png, png_infop info, const Image& image, PngSink& sink) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &sink, on_write, on_flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8,
               image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  const std::int64_t stride = image.width * image.channels;
  for (std::int64_t y = 0; y < image.height; ++y) {
    png_write_row(png, image.pixels.data() + y * stride);
  }
  png_write_end(png, info);
  return true;
}

struct PngWriter {
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

std::uint8_t to_grey_level(float value) {
  if (!(value > 0.0F)) return 0;  // also NaN
  return static_cast<std::uint8_t>(std::min(value, 1.0F) * 255.0F + 0.5F);
}

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

void write_png(const std::filesystem::path& path, const Image& image) {
  ELBO_ASSERT(image.channels == 1 || image.channels == 3);
  const Shape shape = {image.height, image.width, image.channels};
  ELBO_ASSERT(checked_bytes(shape, 1) == image.pixels.size());
  if (std::max(image.height, image.width) > std::numeric_limits<std::int32_t>::max()) {
    fail_file(path, "cannot write a picture of " + to_string(shape) + " as PNG");
  }
  PngSink sink;
  PngWriter writer;
  writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &sink, on_error, on_warning);
  if (writer.png != nullptr) writer.info = png_create_info_struct(writer.png);
  if (writer.info == nullptr) fail_file(path, "cannot start the PNG encoder: out of memory");
  if (!encode(writer.png, writer.info, image, sink)) {
    fail_file(path,
              "cannot write a picture of " + to_string(shape) + " as PNG: " + sink.error.data());
  }
  write_file_atomically(path, sink.bytes);
}

PictureLayout picture_layout(const Shape& shape) {
  const auto is_colour = [](std::int64_t channels) { return channels == 1 || channels == 3; };
  if (shape.size() == 2) return {shape[0], shape[1], 1, shape[1], 1, 0};
  if (shape.size() == 3 && is_colour(shape[0])) {
    return {shape[1], shape[2], shape[0], shape[2], 1, shape[1] * shape[2]};
  }
  if (shape.size() == 3 && is_colour(shape[2])) {
    return {shape[0], shape[1], shape[2], shape[1] * shape[2], shape[2], 1};
  }
  const std::int64_t elements = element_count(shape);
  auto height = static_cast<std::int64_t>(std::sqrt(static_cast<double>(elements)));
  while (elements % height != 0) --height;
  const std::int64_t width = elements / height;
  return {height, width, 1, width, 1, 0};
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
