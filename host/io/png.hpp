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

/// The bytes that every PNG file starts with.
bool is_png(std::span<const std::byte> file);

/// Size and channels as the file's first chunk tells them, unchecked; nothing if `start` is
/// cut off before its end. Throws DataError if that chunk is not there.
std::optional<PictureHeader> read_png_header(std::span<const std::byte> start);

/// Decodes any PNG: palettes and 1 to 4 bits are expanded, 16 bits rounded to 8, interlacing is
/// resolved, and transparency is composited on white. Throws DataError, without the file's name, if
/// the data is damaged or truncated.
Image decode_png(std::span<const std::byte> file);

/// Writes the image (atomically). Throws DataError where libpng or the file system refuses.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace elbo
