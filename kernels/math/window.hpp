// An epoch's order cut into windows: what streams to a device piece by piece is shuffled piece by
// piece.
#pragma once

#include "kernels/math/elementary.hpp"

namespace elbo::math {

/// Some consecutive positions of an epoch's order.
struct Window {
  uint64_t number = 0;  // counted from the start of training
  uint32_t first = 0;   // position in the epoch
  uint32_t rows = 0;
};

/// Windows of `length` positions of epochs of `rows`; an epoch's last window takes what is left.
struct Windows {
  uint32_t rows = 0;
  uint32_t length = 0;

  ELBO_HD uint32_t per_epoch() const { return (rows - 1) / length + 1; }
  /// The window that a position (< rows) of an epoch lies in.
  ELBO_HD Window at(uint64_t epoch, uint32_t position) const {
    const uint32_t place = position / length, first = place * length;
    return {epoch * per_epoch() + place, first, math::min(length, rows - first)};
  }
};

}  // namespace elbo::math
