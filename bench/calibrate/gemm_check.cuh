// The reference of the matrix products: plain kernels in double, without cuBLAS.
#pragma once

#include "bench/calibrate/cublas_lt.cuh"

namespace elbo::calibrate {

/// The expected output, epilogue(product), in the sampled columns.
struct Expected {
  const double* product = nullptr;   // [columns][m]
  int64_t columns = 0;               // number of sampled columns
  const void* added_bias = nullptr;  // [m], of the output's type
  bool relu = false;
  const void* open_where = nullptr;  // bf16 [n][m]: zero the output if this value is not positive
};

class GemmCheck {
 public:
  explicit GemmCheck(const Gpu& gpu) : gpu_(gpu), sums_(3) {}

  /// Fills `out` with `count` normals times `scale`, from their own random subsequence.
  void fill_normals(void* out, Element element, int64_t count, uint64_t subsequence,
                    double scale = 1.0) const;
  /// Computes out[c] = column c * n / columns of op(a) op(b), in double.
  void product(const MatrixProduct& shape, const void* a, const void* b, int64_t columns,
               double* out) const;
  /// Returns ‖d - expected‖ / ‖expected‖ over the sampled columns, or NaN if any element of d, in
  /// any column, is not finite.
  double error(const MatrixProduct& shape, const void* d, const Expected& expected) const;
  /// Returns ‖actual - sums‖ / ‖sums‖. sums[r] is the sum of row r of a column-major matrix.
  double row_sum_error(const void* matrix, Element matrix_element, int64_t rows, int64_t columns,
                       const void* actual, Element actual_element) const;
  /// Returns the number of mask bits that differ from d > 0, if bit r of a column is stored as bit
  /// r % 8 of its byte r / 8.
  int64_t wrong_mask_bits(const void* mask, const MatrixProduct& shape, const void* d) const;

 private:
  void clear() const;
  std::vector<double> sums() const;

  const Gpu& gpu_;
  DeviceArray<double> sums_;
};

}  // namespace elbo::calibrate
