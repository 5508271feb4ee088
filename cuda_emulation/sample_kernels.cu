// Instantiates the sample kernels for the PTX interpreter.
#include "cuda_emulation/sample_kernels.cuh"

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
template __global__ void ticket_kernel<Bug::kNone>(TicketArgs);
template __global__ void staged_copy_kernel<4, Bug::kNone>(StagedCopyArgs);
template __global__ void staged_copy_kernel<1, Bug::kNone>(StagedCopyArgs);
template __global__ void staged_copy_kernel<4, Bug::kMissingWait>(StagedCopyArgs);
template __global__ void staged_copy_kernel<4, Bug::kLateWait>(StagedCopyArgs);
template __global__ void staged_copy_kernel<4, Bug::kMissingBarrier>(StagedCopyArgs);
template __global__ void tf32_kernel<Bug::kNone>(Tf32Args);
template __global__ void mma_kernel<uint32_t, Bug::kNone>(MmaArgs<uint32_t>);
template __global__ void mma_kernel<uint16_t, Bug::kNone>(MmaArgs<uint16_t>);
template __global__ void mma_kernel<uint32_t, Bug::kDivergentMma>(MmaArgs<uint32_t>);
template __global__ void mma_kernel<uint16_t, Bug::kDivergentMma>(MmaArgs<uint16_t>);
template __global__ void mma_kernel<uint32_t, Bug::kExitBeforeMma>(MmaArgs<uint32_t>);

}  // namespace elbo::cuda::sample
