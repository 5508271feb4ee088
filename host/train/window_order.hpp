// Determines which rows of a split are on a device together, if it cannot hold them all.
#pragma once

#include <vector>

#include "kernels/math/window.hpp"

namespace elbo {

/// Consecutive rows of a split.
struct RowRun {
  uint32_t first = 0;
  uint32_t count = 0;
  bool operator==(const RowRun&) const = default;
};

/// Assigns the rows of a split to the windows of each epoch, each row to one window. If shuffled,
/// rows are assigned in segments of consecutive rows, long enough to be read efficiently from any
/// disk, in an order that depends only on seed and epoch.
class WindowOrder {
 public:
  /// Uses windows of `windows.length` rows of a split with `windows.rows` rows, both at least 1.
  WindowOrder(math::Windows windows, uint64_t seed, bool shuffle)
      : windows_(windows), seed_(seed), shuffle_(shuffle) {}

  const math::Windows& windows() const { return windows_; }
  /// Returns the rows of window `number` (counted from the start of training) in ascending order. A
  /// window that covers the split contains the whole split.
  std::vector<RowRun> runs(uint64_t number) const;

 private:
  math::Windows windows_;
  uint64_t seed_;
  bool shuffle_;
};

}  // namespace elbo
