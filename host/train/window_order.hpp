// Which rows of a split are on a device together, where it cannot hold them all.
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

/// Deals the rows of a split to the windows of each epoch: every row to one of them. Shuffled, they
/// go in segments of consecutive rows, few enough reads for any disk, in an order that depends on
/// seed and epoch alone.
class WindowOrder {
 public:
  /// Windows of `windows.length` rows of a split of `windows.rows`, both at least 1.
  WindowOrder(math::Windows windows, uint64_t seed, bool shuffle)
      : windows_(windows), seed_(seed), shuffle_(shuffle) {}

  const math::Windows& windows() const { return windows_; }
  /// The rows of window `number`, counted from the start of training, in ascending order: those of
  /// a window that covers the split are the split.
  std::vector<RowRun> runs(uint64_t number) const;

 private:
  math::Windows windows_;
  uint64_t seed_;
  bool shuffle_;
};

}  // namespace elbo
