// JPEG files: baseline and progressive, of 8 bits, grey, RGB, YCbCr, CMYK or YCCK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "host/io/image.hpp"

namespace elbo {

// Errors here are DataErrors that tell what is wrong, but not with which file.

/// The bytes that every JPEG file starts with.
bool is_jpeg(std::span<const std::byte> file);

/// Size, channels and EXIF's orientation from the segments before the pixels, unchecked; nothing
/// where `start` is cut off before it tells. Throws DataError where the pixels come first.
std::optional<PictureHeader> read_jpeg_header(std::span<const std::byte> start);

/// Decodes a JPEG as it is stored, not yet turned upright. CMYK is taken to be inverted, as Adobe
/// writes it. Where both sides are at least twice as large as 2 * least_side, a picture of half,
/// a quarter or an eighth the size is decoded, neither side of which is below 2 * least_side; 0
/// stands for the whole size. Throws DataError where the data is damaged or cut short.
Image decode_jpeg(std::span<const std::byte> file, std::int64_t least_side = 0);

}  // namespace elbo
