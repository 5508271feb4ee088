// The reference: every op as plain loops in double. A benchmark row is checked against it before it
// is timed. It shares the contracts and the double versions of the formulas (kernels/math) with the
// engine, but no execution code: it has no tasks, no vector types and no float sums.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/program.hpp"

namespace elbo::reference {

/// Memory that an op writes: `count` floats, bfloat16 numbers or other 32-bit elements.
struct Output {
  std::string_view name;
  void* data = nullptr;
  int64_t count = 0;
  /// Relative tolerance: this many float roundings (2^-24) of the largest element. 0: the bits must
  /// be equal.
  double roundings = 0.0;
  Format format = Format::f32;
  /// Absolute tolerance, added to the relative one.
  double slack = 0.0;

  size_t bytes() const { return static_cast<size_t>(count) * size_of(format); }
};

/// Returns every array that `op` writes. The inputs of `op` must be in host memory and hold their
/// values already, because some tolerances are computed from them.
std::vector<Output> outputs(const Op& op);

/// Runs `op` on host memory.
void run(const Op& op);

}  // namespace elbo::reference
