// Contract: reordering a row's elements.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"

namespace elbo {

/// y[r, j, i, k] = x[r, i, j, k]: rows of [first, second, inner] elements become rows of [second,
/// first, inner] ones. It moves the channels of pictures stored plane by plane to the end, and the
/// outputs of convolutions into one block per parameter of a likelihood.
struct SwapAxes {
  static constexpr std::string_view name = "swap_axes";
  Rows rows;
  int32_t first = 1;   // i
  int32_t second = 1;  // j
  int32_t inner = 1;   // k
  ConstReals x;        // [rows, first, second, inner]
  Reals y;             // [rows, second, first, inner], in any format

  int32_t columns() const { return first * second * inner; }
  AccessList accesses() const {
    const int64_t elements = int64_t{rows.capacity()} * columns();
    return AccessList().reads(rows.state, 1).reads(x, elements).writes(y, elements);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), first, second, inner}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo
