// Every op once more, as plain loops in double: what a benchmark row is checked against before it
// is timed. Shares the contracts and the formulas' double versions (kernels/math) with the engine,
// and nothing with its executions: no tasks, no vectors, no float sums.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/program.hpp"

namespace elbo::reference {

/// Memory that an op writes: `count` floats, bfloat16 numbers or other elements of 32 bits.
struct Output {
  std::string_view name;
  void* data = nullptr;
  int64_t count = 0;
  /// How far an execution may be off: this many float roundings (2^-24) of the largest element.
  /// 0: the bits must be equal.
  double roundings = 0.0;
  Format format = Format::f32;
  /// And this much more, whatever the elements' size.
  double slack = 0.0;

  size_t bytes() const { return static_cast<size_t>(count) * size_of(format); }
};

/// What `op` writes, all of it. Reads what the op reads, which must be on the host: bounds follow
/// from the numbers.
std::vector<Output> outputs(const Op& op);

/// Runs `op` on memory of the host.
void run(const Op& op);

}  // namespace elbo::reference
