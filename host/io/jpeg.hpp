// JPEG files: baseline and progressive, of 8 bits, grey, RGB, YCbCr, CMYK or YCCK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "host/io/image.hpp"

namespace elbo {

// Errors here are DataErrors that name the fault, but not the file.

/// The bytes that every JPEG file starts with.
bool is_jpeg(std::span<const std::byte> file);

/// Size, channels and EXIF's orientation from the segments before the pixels, unchecked; nothing
/// where `start` is cut off before it tells. Throws DataError if the pixels come first.
std::optional<PictureHeader> read_jpeg_header(std::span<const std::byte> start);

/// Decodes a JPEG as stored, without applying its orientation. CMYK is assumed to be inverted, as
/// Adobe writes it. If both sides are at least twice as large as 2 * least_side, a picture of half,
/// a quarter or an eighth of the size is decoded, with both sides at least 2 * least_side; 0 means
/// full size. Throws DataError if the data is damaged or cut short.
Image decode_jpeg(std::span<const std::byte> file, std::int64_t least_side = 0);

}  // namespace elbo
