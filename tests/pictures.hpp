// Pictures for tests: any kind of PNG and JPEG as bytes, made by libpng and libjpeg-turbo.
#pragma once

#include <gtest/gtest.h>
#include <png.h>
#include <turbojpeg.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "host/io/image.hpp"

namespace elbo {

/// How a PNG is stored.
struct PngForm {
  int depth = 8;
  int colour_type = PNG_COLOR_TYPE_GRAY;
  bool interlaced = false;
  std::vector<png_color> palette = {};
  std::vector<png_byte> palette_alpha = {};  // tRNS of a palette
  bool has_transparent = false;              // tRNS of grey or RGB: this colour
  png_color_16 transparent = {};
};

/// A PNG of `rows`, each packed as the form requires. A refusal by libpng ends the test.
inline std::string png_bytes(int width, const std::vector<std::vector<png_byte>>& rows,
                             const PngForm& form) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  std::string bytes;
  const auto write = [](png_structp p, png_bytep data, size_t size) {
    static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), size);
  };
  png_set_write_fn(png, &bytes, write, [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(rows.size()),
               form.depth, form.colour_type,
               form.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!form.palette.empty())
    png_set_PLTE(png, info, form.palette.data(), static_cast<int>(form.palette.size()));
  if (!form.palette_alpha.empty() || form.has_transparent)
    png_set_tRNS(png, info, form.palette_alpha.data(), static_cast<int>(form.palette_alpha.size()),
                 &form.transparent);
  png_write_info(png, info);
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass)
    for (const std::vector<png_byte>& row : rows) png_write_row(png, row.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

/// An 8-bit grey or RGB image as a PNG.
inline std::string png_bytes(const Image& image) {
  std::vector<std::vector<png_byte>> rows;
  const auto stride = static_cast<std::ptrdiff_t>(image.width * image.channels);
  for (auto row = image.pixels.begin(); row != image.pixels.end(); row += stride)
    rows.emplace_back(row, row + stride);
  return png_bytes(static_cast<int>(image.width), rows,
                   {.colour_type = image.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY});
}

/// A JPEG of quality 100 without subsampling; of a grey or RGB image, or of inverted CMYK, which
/// is stored as YCCK.
inline std::string jpeg_bytes(const Image& image, int flags = 0) {
  const int format = image.channels == 1 ? TJPF_GRAY : image.channels == 3 ? TJPF_RGB : TJPF_CMYK;
  tjhandle encoder = tjInitCompress();
  unsigned char* data = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(encoder, image.pixels.data(), static_cast<int>(image.width), 0,
                        static_cast<int>(image.height), format, &data, &size,
                        image.channels == 1 ? TJSAMP_GRAY : TJSAMP_444, 100, flags),
            0)
      << tjGetErrorStr2(encoder);
  std::string bytes(reinterpret_cast<char*>(data), size);
  tjFree(data);
  tjDestroy(encoder);
  return bytes;
}

/// A marker segment, its length before the content.
inline std::string jpeg_segment(int marker, const std::string& content) {
  const auto length = content.size() + 2;
  std::string segment = {'\xff', static_cast<char>(marker), static_cast<char>(length >> 8),
                         static_cast<char>(length & 0xff)};
  return segment + content;
}

/// The JPEG with a segment after its first marker.
inline std::string with_segment(const std::string& jpeg, int marker, const std::string& content) {
  return jpeg.substr(0, 2) + jpeg_segment(marker, content) + jpeg.substr(2);
}

/// An EXIF block that tells an orientation, among other tags.
inline std::string exif_block(int orientation, bool big_endian) {
  std::string block = std::string("Exif\0\0", 6) + (big_endian ? "MM" : "II");
  const auto add = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i)
      block += static_cast<char>(value >> 8 * (big_endian ? size - 1 - i : i) & 0xff);
  };
  const auto add_short = [&](uint32_t tag, uint32_t value) {
    add(tag, 2), add(3, 2), add(1, 4), add(value, 2), add(0, 2);
  };
  add(42, 2), add(8, 4), add(3, 2);
  add_short(0x0100, 7);
  add_short(0x0112, static_cast<uint32_t>(orientation));
  add_short(0x0128, 2);
  add(0, 4);
  return block;
}

/// An image whose value at each pixel and channel is a function of the place.
inline Image make_image(int64_t height, int64_t width, int64_t channels,
                        const std::function<int(int64_t y, int64_t x, int64_t c)>& value) {
  Image image{height, width, channels, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint8_t>(value(y, x, c)));
  return image;
}

/// An image of scattered values, others for each `seed`.
inline Image scattered_image(int64_t height, int64_t width, int64_t channels, int seed = 0) {
  uint32_t state = static_cast<uint32_t>(seed) * 2654435761u + 12345u;
  return make_image(height, width, channels, [&](int64_t, int64_t, int64_t) {
    state = state * 1664525u + 1013904223u;
    return static_cast<int>(state >> 24);
  });
}

}  // namespace elbo
