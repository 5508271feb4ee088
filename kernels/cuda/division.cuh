// Division by divisors that the host knows before the launch. In the computation of array indices,
// a hardware division would cost more than the memory access.
#pragma once

#include <bit>

#include "kernels/cuda/port.cuh"
#include "kernels/math/portable.hpp"

namespace elbo::cuda {

/// n / divisor for n from 0 to 2^31 - 1, as a multiplication and a shift. With 2^(k-1) < divisor <=
/// 2^k and m = ceil(2^(31+k) / divisor), n m / 2^(31+k) exceeds n / divisor by less than
/// n / 2^(31+k) < 1 / divisor, too little to reach the next integer.
struct Division {
  int32_t divisor = 1;
  uint32_t multiplier = 1u << 31;
  int32_t shift = 31;

  Division() = default;
  /// `by` is at least 1.
  explicit Division(int32_t by)
      : divisor(by), shift(31 + std::bit_width(static_cast<uint32_t>(by - 1))) {
    const auto d = static_cast<uint64_t>(by);
    multiplier = static_cast<uint32_t>(((uint64_t{1} << shift) + d - 1) / d);
  }
  ELBO_HD int32_t quotient(int32_t n) const {
    return static_cast<int32_t>((static_cast<uint64_t>(static_cast<uint32_t>(n)) * multiplier) >>
                                shift);
  }
};

/// A quotient with its remainder.
struct Divided {
  int32_t quotient, remainder;

  ELBO_HD Divided(int32_t n, const Division& by)
      : quotient(by.quotient(n)), remainder(n - quotient * by.divisor) {}
};

}  // namespace elbo::cuda
