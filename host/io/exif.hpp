// The one thing that pictures need of EXIF: how the camera was held.
#pragma once

#include <cstddef>
#include <span>

namespace elbo {

/// The orientation, 1 to 8, that a JPEG's APP1 segment (without marker and length) tells. 1, for
/// upright, where it tells none, holds something else than EXIF, or is malformed.
int exif_orientation(std::span<const std::byte> segment);

}  // namespace elbo
