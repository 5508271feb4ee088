// The layout of a row as a picture, and random flips and shifts of pictures.
#pragma once

#include "kernels/math/philox.hpp"

namespace elbo::math {

/// Element (y, x, c) of a picture lies at y * step_y + x * step_x + c * step_c.
struct PictureLayout {
  int32_t height = 1, width = 1, channels = 1;
  int32_t step_y = 1, step_x = 1, step_c = 1;
};

/// Settings of the augmentation.
struct Augmentation {
  bool flip = false;  // horizontally, with probability 1/2
  int32_t shift = 0;  // largest shift in pixels, in every direction; less than the sides

  ELBO_HD bool any() const { return flip || shift > 0; }
};

/// The index that `at` reflects to, for at most size - 1 positions outside: the outside mirrors the
/// inside, without repeating the edge.
ELBO_HD int32_t reflected(int32_t at, int32_t size) {
  at = at < 0 ? -at : at;
  return at < size ? at : 2 * (size - 1) - at;
}

/// The draw for one picture.
struct Displacement {
  bool flipped = false;
  int32_t down = 0, right = 0;  // offset of the source pixels, before the flip

  ELBO_HD int32_t source_y(int32_t y, int32_t height) const { return reflected(y + down, height); }
  ELBO_HD int32_t source_x(int32_t x, int32_t width) const {
    return reflected((flipped ? width - 1 - x : x) + right, width);
  }
  /// The source of `element`.
  ELBO_HD int32_t source(int32_t element, const PictureLayout& p) const {
    const int32_t y = element / p.step_y % p.height, x = element / p.step_x % p.width;
    return element + (source_y(y, p.height) - y) * p.step_y + (source_x(x, p.width) - x) * p.step_x;
  }
};

/// An integer from -most to most, uniform to within 2^-32.
ELBO_HD int32_t uniform_shift(uint32_t bits, int32_t most) {
  const uint64_t count = 2 * static_cast<uint64_t>(most) + 1;
  return static_cast<int32_t>(bits * count >> 32) - most;
}

/// The draw for the picture in this row of the data set, anew at every step.
ELBO_HD Displacement draw_displacement(const Augmentation& augmentation, uint64_t seed,
                                       uint64_t step, uint32_t row) {
  const Bits4 bits =
      philox4x32(seed, noise_subsequence(NoiseStream::augment, step), noise_group(row, 0));
  return {augmentation.flip && bits.value[0] >> 31 != 0,
          uniform_shift(bits.value[1], augmentation.shift),
          uniform_shift(bits.value[2], augmentation.shift)};
}

}  // namespace elbo::math
