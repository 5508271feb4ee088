// How a row of data is read as a picture, and how pictures are flipped and shifted at random.
#pragma once

#include "kernels/math/philox.hpp"

namespace elbo::math {

/// Element (y, x, c) of a picture lies at y * step_y + x * step_x + c * step_c.
struct PictureLayout {
  int32_t height = 1, width = 1, channels = 1;
  int32_t step_y = 1, step_x = 1, step_c = 1;
};

/// What may happen to a picture.
struct Augmentation {
  bool flip = false;  // left for right, every other time
  int32_t shift =
      0;  // shifts of up to so many pixels down, up, right and left; less than its sides

  ELBO_HD bool any() const { return flip || shift > 0; }
};

/// Where place `at` is found, at most size - 1 places outside: what lies beyond an edge mirrors
/// what lies within, without the edge itself.
ELBO_HD int32_t reflected(int32_t at, int32_t size) {
  at = at < 0 ? -at : at;
  return at < size ? at : 2 * (size - 1) - at;
}

/// What has been drawn for a picture.
struct Displacement {
  bool flipped = false;
  int32_t down = 0, right = 0;  // where its pixels come from, before the flip

  ELBO_HD int32_t source_y(int32_t y, int32_t height) const { return reflected(y + down, height); }
  ELBO_HD int32_t source_x(int32_t x, int32_t width) const {
    return reflected((flipped ? width - 1 - x : x) + right, width);
  }
  /// The element that `element` is taken from.
  ELBO_HD int32_t source(int32_t element, const PictureLayout& p) const {
    const int32_t y = element / p.step_y % p.height, x = element / p.step_x % p.width;
    return element + (source_y(y, p.height) - y) * p.step_y + (source_x(x, p.width) - x) * p.step_x;
  }
};

/// A whole number from -most to most, all of them equally likely but for 2^-32.
ELBO_HD int32_t uniform_shift(uint32_t bits, int32_t most) {
  const uint64_t count = 2 * static_cast<uint64_t>(most) + 1;
  return static_cast<int32_t>(bits * count >> 32) - most;
}

/// Of the picture in this row of the data set, drawn anew at every step.
ELBO_HD Displacement draw_displacement(const Augmentation& augmentation, uint64_t seed,
                                       uint64_t step, uint32_t row) {
  const Bits4 bits =
      philox4x32(seed, noise_subsequence(NoiseStream::augment, step), noise_group(row, 0));
  return {augmentation.flip && bits.value[0] >> 31 != 0,
          uniform_shift(bits.value[1], augmentation.shift),
          uniform_shift(bits.value[2], augmentation.shift)};
}

}  // namespace elbo::math
