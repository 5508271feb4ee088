#include "host/io/png.hpp"

#include <zlib.h>

#include "tests/fuzz/decoded.hpp"
#include "tests/pictures.hpp"

namespace elbo::fuzz {
namespace {

std::string big_endian(std::size_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

std::string chunk(const std::string& name, const std::string& content) {
  const std::string named = name + content;
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(named.data()), static_cast<uInt>(named.size()));
  return big_endian(content.size()) + named + big_endian(sum);
}

constexpr std::size_t kAfterHeader = 8 + 25;  // signature and IHDR

/// The PNG with other extents and a valid checksum.
std::string of_size(const std::string& png, std::size_t width, std::size_t height) {
  return png.substr(0, 8) +
         chunk("IHDR", big_endian(width) + big_endian(height) + png.substr(24, 5)) +
         png.substr(kAfterHeader);
}

/// As many comments, each of some kilobytes that inflate to megabytes.
std::string with_comments(const std::string& png, int count) {
  const std::string text(4 << 20, ' ');
  std::string small(compressBound(text.size()), '\0');
  uLongf size = small.size();
  compress2(reinterpret_cast<Bytef*>(small.data()), &size,
            reinterpret_cast<const Bytef*>(text.data()), text.size(), 9);
  const std::string comment = chunk("zTXt", std::string("k\0\0", 3) + small.substr(0, size));
  std::string changed = png.substr(0, kAfterHeader);
  for (int i = 0; i < count; ++i) changed += comment;
  return changed + png.substr(kAfterHeader);
}

std::vector<std::string> seeds() {
  const std::string grey = png_bytes(scattered_image(3, 4, 1)),
                    rgb = png_bytes(scattered_image(6, 5, 3));
  const auto rows = [](std::size_t count, std::size_t bytes) {
    std::vector<std::vector<png_byte>> all(count, std::vector<png_byte>(bytes));
    for (std::size_t i = 0; i < count * bytes; ++i)
      all[i / bytes][i % bytes] = static_cast<png_byte>(37 * i);
    return all;
  };
  return {grey,
          rgb,
          png_bytes(9, rows(9, 2),
                    {.depth = 1,
                     .colour_type = PNG_COLOR_TYPE_PALETTE,
                     .interlaced = true,
                     .palette = {{0, 1, 2}, {3, 4, 5}},
                     .palette_alpha = {7, 200}}),
          png_bytes(3, rows(2, 24),
                    {.depth = 16, .colour_type = PNG_COLOR_TYPE_RGB_ALPHA, .interlaced = true}),
          png_bytes(3, rows(2, 4),
                    {.colour_type = PNG_COLOR_TYPE_GRAY,
                     .has_transparent = true,
                     .transparent = {0, 0, 0, 0, 1}}),
          of_size(grey, 16000, 16000),
          of_size(grey, std::size_t{1} << 28, 1),
          of_size(rgb, 1, std::size_t{1} << 28),
          of_size(grey, 0x7fffffff, 0x7fffffff),
          with_comments(rgb, 100)};
}

}  // namespace

// One bit can encode four values of a palette, and deflate has a largest ratio.
const Target kPng = {"png", 2048, 8 * 4 * 1032, 1 << 20, decode, seeds};

}  // namespace elbo::fuzz
