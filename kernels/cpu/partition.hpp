// Division of an op's work into tasks. It depends only on the shape, never on the number of
// threads, so that every sum has the same order on any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

namespace elbo::cpu {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};

/// `total` items in tasks of `grain` items.
struct Partition {
  int64_t total = 0;
  int64_t grain = 1;

  int tasks() const { return static_cast<int>((total + grain - 1) / grain); }
  /// The items of a task, limited to the first `active` ones.
  Range range(int task, int64_t active) const {
    const int64_t begin = task * grain;
    return {begin, std::max(begin, std::min(begin + grain, active))};
  }
  Range range(int task) const { return range(task, total); }
};

/// `total` items in `parts` parts of nearly equal size.
struct Shares {
  int64_t total = 0;
  int parts = 1;

  Range range(int part) const { return {total * part / parts, total * (part + 1) / parts}; }
};

/// Rows of an element-wise op: about 8 K elements per task, a few microseconds of work.
inline Partition element_rows(int64_t rows, int64_t columns) {
  return {rows, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, columns))};
}

}  // namespace elbo::cpu
