// JPEG files: baseline and progressive, of 8 bits, grey, RGB, YCbCr, CMYK or YCCK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "host/io/image.hpp"

namespace elbo {

// Errors here are DataErrors that name the fault, but not the file.

/// Returns true if the file starts like every JPEG file.
bool is_jpeg(std::span<const std::byte> file);

/// Returns size, channels and EXIF orientation from the segments before the pixels, unchecked;
/// nothing if `start` ends before the frame header. Throws DataError if the pixels come before it.
std::optional<PictureHeader> read_jpeg_header(std::span<const std::byte> start);

/// Decodes a JPEG as stored, without applying its orientation. CMYK is assumed to be inverted, as
/// Adobe writes it. Decodes at the smallest of 1/2, 1/4 and 1/8 of the size that keeps both sides
/// at least 2 * least_side, or else at full size; 0 means full size. Throws DataError if the data
/// is damaged or truncated, or has too many scans.
Image decode_jpeg(std::span<const std::byte> file, std::int64_t least_side = 0);

}  // namespace elbo
