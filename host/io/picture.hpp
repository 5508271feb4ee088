// Picture files: PNG and JPEG, distinguished by content.
//
// A fault is thrown as a DataError without the file's name, which the caller adds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "host/io/image.hpp"

namespace elbo {

/// True if a file of that name is a picture: .png, .jpg or .jpeg, in any case.
bool is_picture_name(std::string_view name);

/// Height and width of the upright picture, and its channels, from the beginning of its file.
/// Throws DataError if that cannot be read, is empty, is no picture, or claims to have no pixels or
/// more than 2^28.
PictureHeader read_picture_header(const std::filesystem::path& path);

/// Decodes a picture, upright and on white. If it is much larger than a `least_side` other than 0,
/// it may be decoded at a reduced size, with neither side below least_side. Throws DataError as
/// read_picture_header() does, and if the data is damaged or truncated.
Image decode_picture(const std::filesystem::path& path, std::int64_t least_side = 0);

}  // namespace elbo
