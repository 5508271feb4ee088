// cuBLASLt, loaded on first use, and the description of one matrix product.
#pragma once

#include <cublasLt.h>

#include "bench/calibrate/gpu.cuh"

namespace elbo::calibrate {

enum class Element { f32, bf16 };
inline size_t size_of(Element element) { return element == Element::f32 ? 4 : 2; }

/// d = epilogue(op(a) op(b)), column-major: op(a) is m x k, op(b) is k x n, d is m x n. Each
/// leading dimension equals the number of stored rows.
struct MatrixProduct {
  int64_t m = 0, n = 0, k = 0;
  bool a_transposed = false, b_transposed = false;
  Element input = Element::f32, output = Element::f32;  // of a and b; of d and the bias
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;  // read, or written if the epilogue computes the bias gradient
  void* mask = nullptr;  // one bit per ReLU, mask_bits_per_column(m) bits per column
};

/// cuBLASLt requires that a column is a multiple of 128 bits long.
inline int64_t mask_bits_per_column(int64_t rows) { return (rows + 127) / 128 * 128; }

class CublasLt {
 public:
  struct Functions;
  using Algorithm = cublasLtMatmulHeuristicResult_t;

  /// Throws DeviceError if the library cannot be loaded or does not start.
  explicit CublasLt(const Gpu& gpu);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  size_t version() const;
  std::string text(cublasStatus_t status) const;

  /// A product that is ready to run. The constructor throws DeviceError if cuBLASLt rejects a part
  /// of the description.
  class Plan {
   public:
    Plan(const CublasLt& library, const MatrixProduct& product);
    /// Returns up to `most` algorithms that cuBLASLt expects to be fast, best first. If it does not
    /// support the product, returns none and sets `status` to the reason.
    std::vector<Algorithm> algorithms(int most, cublasStatus_t& status) const;
    /// Enqueues the product on the GPU's stream.
    cublasStatus_t enqueue(const Algorithm& algorithm, const void* a, const void* b, void* d) const;

   private:
    template <class Opaque>
    using Owned = std::unique_ptr<Opaque, cublasStatus_t (*)(Opaque*)>;
    Owned<cublasLtMatrixLayoutOpaque_t> layout(Element element, int64_t rows, int64_t columns);
    template <class Value>
    void set(cublasLtMatmulDescAttributes_t attribute, const Value& value, const char* what);

    const CublasLt& library_;
    Owned<cublasLtMatmulDescOpaque_t> description_;
    Owned<cublasLtMatrixLayoutOpaque_t> a_, b_, d_;
  };

 private:
  void check(cublasStatus_t status, const std::string& action) const;

  const Gpu& gpu_;
  const Functions& functions_;
  cublasLtHandle_t handle_ = nullptr;
  DeviceArray<char> workspace_;
};

}  // namespace elbo::calibrate
