// What a matrix product is held against: plain kernels in double, written without cuBLAS.
#pragma once

#include "bench/calibrate/cublas_lt.cuh"

namespace elbo::calibrate {

/// Everything an output must equal: epilogue(product), in the sampled columns.
struct Expected {
  const double* product = nullptr;   // [columns][m]
  int64_t columns = 0;               // sampled ones
  const void* added_bias = nullptr;  // [m], of the output's type
  bool relu = false;
  const void* open_where = nullptr;  // bf16 [n][m]: zero the output where this is not positive
};

class GemmCheck {
 public:
  explicit GemmCheck(const Gpu& gpu) : gpu_(gpu), sums_(3) {}

  /// `count` normals times `scale`, from a subsequence of their own.
  void fill_normals(void* out, Element element, int64_t count, uint64_t subsequence,
                    double scale = 1.0) const;
  /// out[c] = column c * n / columns of op(a) op(b), in double.
  void product(const MatrixProduct& shape, const void* a, const void* b, int64_t columns,
               double* out) const;
  /// ‖d - expected‖ / ‖expected‖ over the sampled columns; NaN where any element of d, in any
  /// column, is not finite.
  double error(const MatrixProduct& shape, const void* d, const Expected& expected) const;
  /// ‖actual - sums‖ / ‖sums‖, where sums[r] is the sum of row r of a matrix stored by columns.
  double row_sum_error(const void* matrix, Element matrix_element, int64_t rows, int64_t columns,
                       const void* actual, Element actual_element) const;
  /// How many bits differ from d > 0, where bit r of a column is bit r % 8 of its byte r / 8.
  int64_t wrong_mask_bits(const void* mask, const MatrixProduct& shape, const void* d) const;

 private:
  void clear() const;
  std::vector<double> sums() const;

  const Gpu& gpu_;
  DeviceArray<double> sums_;
};

}  // namespace elbo::calibrate
