// The processing of a picture by packing, for both picture formats.
#pragma once

#include "host/io/picture.hpp"
#include "tests/fuzz/inputs.hpp"

namespace elbo::fuzz {

/// Packs a picture as 5 x 5 pixels, and at its own size.
inline void decode(Bytes input) {
  constexpr std::int64_t kSide = 5;
  const MemoryFile file(input);
  const PictureHeader header = read_picture_header(file.path());
  const Image image = decode_picture(file.path());
  if (image.height != header.height || image.width != header.width ||
      image.channels != header.channels)
    throw std::logic_error("a picture that is not what its header says");
  touch(std::as_bytes(std::span(image.pixels)));
  const Image square = fitted_square(decode_picture(file.path(), kSide), kSide);
  touch(std::as_bytes(std::span(square.pixels)));
}

}  // namespace elbo::fuzz
