// The sample kernels' instantiations, for the PTX that the interpreter runs.
#include "tests/cuda_emulation/sample_kernels.cuh"

namespace elbo::cuda::sample {

template __global__ void row_sum_kernel<Bug::kNone>(RowSumArgs);
template __global__ void row_sum_kernel<Bug::kExitBeforeBarrier>(RowSumArgs);
template __global__ void row_sum_kernel<Bug::kDivergentBarrier>(RowSumArgs);
template __global__ void row_sum_kernel<Bug::kSharedOverrun>(RowSumArgs);
template __global__ void row_sum_kernel<Bug::kForgottenTail>(RowSumArgs);
template __global__ void copy_kernel<true>(CopyArgs);
template __global__ void copy_kernel<false>(CopyArgs);
template __global__ void column_sum_kernel<Bug::kNone>(ColumnSumArgs);
template __global__ void column_sum_kernel<Bug::kUnwrittenShared>(ColumnSumArgs);
template __global__ void total_kernel<Bug::kNone>(TotalArgs);
template __global__ void arithmetic_kernel<float>(ArithmeticArgs<float>);
template __global__ void arithmetic_kernel<double>(ArithmeticArgs<double>);
template __global__ void cosine_kernel<100000000>(CosineArgs);

}  // namespace elbo::cuda::sample
