// The one thing the dense ops need of a BLAS.
#pragma once

#include <cstdint>

namespace elbo::cuda {

/// c = a b in float: row-major, packed, c overwritten.
struct MatrixProduct {
  int32_t m = 0, n = 0, k = 0;
  const float* a = nullptr;  // [m, k], or [k, m] where a_transposed
  const float* b = nullptr;  // [k, n], or [n, k] where b_transposed
  float* c = nullptr;        // [m, n]
  bool a_transposed = false;
  bool b_transposed = false;
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  /// Queues the product behind what its stream already holds.
  virtual void multiply(const MatrixProduct& product) = 0;
};

}  // namespace elbo::cuda
