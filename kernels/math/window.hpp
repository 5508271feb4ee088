// The order of an epoch, divided into windows: rows that are streamed to a device are shuffled
// within windows.
#pragma once

#include "kernels/math/elementary.hpp"

namespace elbo::math {

/// Consecutive positions of an epoch's order.
struct Window {
  uint64_t number = 0;  // counted from the start of training
  uint32_t first = 0;   // position in the epoch
  uint32_t rows = 0;
};

/// Windows of `length` positions in epochs of `rows`; the last window of an epoch may be shorter.
struct Windows {
  uint32_t rows = 0;
  uint32_t length = 0;

  ELBO_HD uint32_t per_epoch() const { return (rows - 1) / length + 1; }
  /// The window that contains a position (< rows) of an epoch.
  ELBO_HD Window at(uint64_t epoch, uint32_t position) const {
    const uint32_t place = position / length, first = place * length;
    return {epoch * per_epoch() + place, first, math::min(length, rows - first)};
  }
};

}  // namespace elbo::math
