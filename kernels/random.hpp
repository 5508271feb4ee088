// Contract: counter-based random numbers (formulas in kernels/math/philox.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/sizes.hpp"

namespace elbo {

enum class Distribution : int32_t { bits, uniform, normal };

/// Fills `out` with the first `count` numbers at offset 4 * first_group of a Philox4x32-10
/// subsequence: raw 32-bit integers (out is then uint32_t*), uniforms in [0, 1), or standard
/// normals. The integers are cuRAND's for the same (seed, subsequence, offset). Bit-identical on
/// every device.
struct RandomFill {
  static constexpr std::string_view name = "random_fill";
  Distribution distribution = Distribution::normal;
  uint64_t seed = 0;
  uint64_t subsequence = 0;
  uint64_t first_group = 0;
  int64_t count = 0;
  void* out = nullptr;  // [count]

  AccessList accesses() const { return AccessList().writes(static_cast<uint32_t*>(out), count); }
  std::string sizes() const { return sizes_text({count}); }
  double flops() const { return 0.0; }
};

/// out[i] = the value of the (seed, epoch) permutation of 0 .. count-1 at position first + i.
struct PermutationFill {
  static constexpr std::string_view name = "permutation_fill";
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint32_t domain = 0;  // n
  uint32_t first = 0;
  uint32_t count = 0;       // first + count <= domain
  uint32_t* out = nullptr;  // [count]

  AccessList accesses() const { return AccessList().writes(out, count); }
  std::string sizes() const { return sizes_text({count}); }
  double flops() const { return 0.0; }
};

}  // namespace elbo
