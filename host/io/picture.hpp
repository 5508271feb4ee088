// Picture files of any format that is read: PNG and JPEG, told apart by what is in them.
//
// What is wrong with a picture is thrown as a DataError that says so without naming it: the
// caller, who may have thousands of them, knows which one it asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "host/io/image.hpp"

namespace elbo {

/// Whether a file of that name counts as a picture: .png, .jpg or .jpeg, in any case.
bool is_picture_name(std::string_view name);

/// Height and width of a picture as it is to be seen, and its channels, from the beginning of its
/// file. Throws DataError where that cannot be read, is empty, is no picture, or claims to have no
/// pixels or more than 2^28.
PictureHeader read_picture_header(const std::filesystem::path& path);

/// Decodes a picture, upright and on white. Where it is much larger than `least_side`, which is
/// not 0, it may come reduced, neither side of it below least_side. Throws DataError as
/// read_picture_header() does, and where the data is damaged or cut short.
Image decode_picture(const std::filesystem::path& path, std::int64_t least_side = 0);

}  // namespace elbo
