// Column sums of a tall matrix in a fixed order: the bias gradients (in float) and ColumnSum (in
// double).
#pragma once

#include "kernels/cuda/port.cuh"
#include "kernels/reduce.hpp"

namespace elbo::cuda {

inline constexpr unsigned kColumnSumRows = 32;

ELBO_DEVICE float element(const ConstReals& x, int64_t place) {
  return x.format == Format::f32 ? x.f32()[place] : math::to_float(x.as<math::Bfloat16>()[place]);
}

/// Blocks of 32 columns by kColumnSumRows rows: a thread adds every kColumnSumRows-th row of its
/// column, then the first row of threads adds those sums in order.
template <class Sum>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kWarpSize* kColumnSumRows) column_sum_kernel(ColumnSum op) {
  ELBO_SHARED(Sum, partial, kColumnSumRows * kWarpSize);
  wait_for_previous_kernel();
  const int32_t column = static_cast<int32_t>(blockIdx.x * kWarpSize + threadIdx.x);
  const int32_t rows = op.rows.active();
  Sum sum = 0;
  if (column < op.columns)
    for (int32_t r = static_cast<int32_t>(threadIdx.y); r < rows; r += kColumnSumRows)
      sum += element(op.x, int64_t{r} * op.columns + column);
  partial[threadIdx.y * kWarpSize + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= op.columns) return;
  for (unsigned y = 1; y < kColumnSumRows; ++y) sum += partial[y * kWarpSize + threadIdx.x];
  if (op.accumulate) sum = op.out[column] + sum;
  op.out[column] = static_cast<float>(sum);
}

template <class Sum>
void launch_column_sum(const ColumnSum& op, Stream stream) {
  if (op.columns == 0) return;
  const unsigned blocks = (static_cast<unsigned>(op.columns) + kWarpSize - 1) / kWarpSize;
  launch(column_sum_kernel<Sum>, blocks, dim3(kWarpSize, kColumnSumRows), 0, stream, op);
}

}  // namespace elbo::cuda
