// The operands of a convolution: an implicit im2col matrix, whose lines contain, tap by tap, the
// pixels of the other side that each pixel is connected to; and the weights in the order of the
// taps.
#pragma once

#include "kernels/core/feature_map.hpp"
#include "kernels/cuda/division.cuh"
#include "kernels/cuda/staged.cuh"

namespace elbo::cuda {

/// The window of a grid's pixels on a map: tap (i, j) connects pixel (y, x) to the map's pixel
/// (scale y + first_y + direction i, scale x + first_x + direction j).
struct Window {
  FeatureMap map;
  Division pixels, width;  // of the grid
  Division channels;       // of the map, in a group
  int32_t scale;
  int32_t direction;  // 1 or -1
};

/// The active taps: `across` in each row, from pixel first_y, first_x on.
struct Taps {
  int32_t first_y, first_x;
  int32_t count;
  Division across;
};

/// An operand with one line per pixel of a batch's grids: tap by tap the channels of a group at the
/// connected pixel, absent outside the map.
template <class T>
struct WindowFactor {
  const T* data;  // the group's first channel in the first row's first pixel
  const Window& window;
  const Taps& taps;
  int32_t lines;
  bool vector;

  struct Line {
    const WindowFactor& factor;
    const T* row;
    int32_t y, x;  // of tap (0, 0)
    bool inside;

    ELBO_DEVICE Source<T> at(int column) const {
      const Window& w = factor.window;
      const Divided element(column, w.channels);
      const Divided tap(element.quotient, factor.taps.across);
      const int32_t py = y + w.direction * tap.quotient, px = x + w.direction * tap.remainder;
      const bool present = inside && element.quotient < factor.taps.count && py >= 0 &&
                           py < w.map.height && px >= 0 && px < w.map.width;
      const int64_t place = int64_t{py * w.map.width + px} * w.map.channels + element.remainder;
      return {row + (present ? place : 0), present};
    }
  };
  ELBO_DEVICE Line line(int i) const {
    const bool inside = i < lines;
    const Divided pixel(inside ? i : 0, window.pixels);
    const Divided place(pixel.remainder, window.width);
    return {*this, data + int64_t{pixel.quotient} * window.map.size(),
            window.scale * place.quotient + taps.first_y,
            window.scale * place.remainder + taps.first_x, inside};
  }
};

/// Weights [narrow channels, kernel, kernel, wide channels of a group] as an operand with one line
/// per tap and narrow channel of a group, tap by tap, for taps `step` apart.
template <class T>
struct TapFactor {
  const T* data;      // of the group's first channel, at the first tap taken
  Division channels;  // narrow ones of a group
  Division across;    // taps taken in a row
  int32_t kernel;
  int32_t step;
  int32_t lines;
  int32_t length;  // wide channels of a group
  bool vector;

  ELBO_DEVICE typename Factor<T>::Line line(int i) const {
    const bool inside = i < lines;
    const Divided weight(inside ? i : 0, channels);
    const Divided tap(weight.quotient, across);
    const int64_t place = int64_t{weight.remainder} * kernel * kernel +
                          step * (tap.quotient * kernel + tap.remainder);
    return {data + place * length, length, inside};
  }
};

}  // namespace elbo::cuda
