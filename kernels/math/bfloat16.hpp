// bfloat16: the upper half of a float.
#pragma once

#include <cstdint>

#include "kernels/math/portable.hpp"

namespace elbo::math {

struct Bfloat16 {
  uint16_t bits = 0;

  constexpr bool operator==(const Bfloat16&) const = default;
};

ELBO_HD float to_float(Bfloat16 number) { return as_float(uint32_t{number.bits} << 16); }
ELBO_HD float to_float(float number) { return number; }

/// Rounded to nearest, ties to even; NaN stays NaN. By integer operations: the same bits
/// everywhere.
ELBO_HD Bfloat16 to_bfloat16(float number) {
  const uint32_t bits = as_bits(number);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return {static_cast<uint16_t>((is_nan ? (bits | 0x400000u) : rounded) >> 16)};
}

}  // namespace elbo::math
