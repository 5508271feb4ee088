// A matrix product of the stand-in for cuBLASLt: its descriptions, the documented restrictions on
// them, and a reference implementation in plain loops.
#pragma once

#include <cublasLt.h>

#include <string>

#include "cuda_emulation/simulated_gpu/access.hpp"

namespace elbo::cuda::simulated {

struct MatmulDescription {
  cublasComputeType_t compute{};
  cudaDataType_t scale{};
  cublasOperation_t transposed[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  int32_t bias_type = -1;
  void* mask = nullptr;
  int64_t mask_stride = 0;  // bits between columns
};

struct MatrixLayout {
  cudaDataType_t type{};
  uint64_t rows = 0, columns = 0;
  int64_t stride = 0;  // elements between columns: the leading dimension

  bool operator==(const MatrixLayout&) const = default;
};

struct MatmulArrays {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  float alpha = 1.0f, beta = 0.0f;
  void* workspace = nullptr;
  uint64_t workspace_bytes = 0;
};

struct MatmulProblem {
  MatmulDescription description;
  MatrixLayout a, b, c;

  uint64_t m() const { return c.rows; }
  uint64_t n() const { return c.columns; }
  uint64_t k() const { return transposed(0) ? a.rows : a.columns; }
  bool transposed(int operand) const { return description.transposed[operand] == CUBLAS_OP_T; }

  /// Returns the reason why the library rejects the problem, or "" if it accepts it.
  std::string refusal() const;
  uint64_t hash() const;
  /// Computes the product. Each algorithm, `way`, adds in a different order.
  void compute(Access& access, uint64_t way, const MatmulArrays& arrays) const;
};

/// Returns a name such as "RELU_BIAS", or null if the epilogue is not simulated.
const char* name_of_epilogue(uint32_t epilogue);

}  // namespace elbo::cuda::simulated
