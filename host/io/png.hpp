// PNG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "host/io/image.hpp"
#include "host/io/shape.hpp"

namespace elbo {

/// Returns true if the file starts like every PNG file.
bool is_png(std::span<const std::byte> file);

/// Returns size and channels from the file's first chunk, unchecked; nothing if `start` ends before
/// them. Throws DataError if the first chunk is not IHDR.
std::optional<PictureHeader> read_png_header(std::span<const std::byte> start);

/// Decodes any PNG: palettes and 1 to 4 bits are expanded, 16 bits rounded to 8, interlacing is
/// resolved, and transparency is composited on white. Throws DataError, without the file's name, if
/// the data is damaged or truncated.
Image decode_png(std::span<const std::byte> file);

/// Writes the image (atomically). Throws DataError if libpng or the file system refuses.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace elbo
