// The only EXIF tag that is read: the orientation of the camera.
#pragma once

#include <cstddef>
#include <span>

namespace elbo {

/// The orientation, 1 to 8, in a JPEG's APP1 segment (without marker and length). 1 (upright) if it
/// contains none, is not EXIF, or is malformed.
int exif_orientation(std::span<const std::byte> segment);

}  // namespace elbo
