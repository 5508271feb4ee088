// Small kernels that prove the emulator: each has the shape of a kind of real kernel, and Bug
// plants one of the mistakes that the emulator exists to catch.
#pragma once

#include "kernels/cuda/port.cuh"
#include "kernels/math/portable.hpp"

namespace elbo::cuda::sample {

enum class Bug {
  kNone,
  kMissingBarrier,
  kDivergentBarrier,
  kExitBeforeBarrier,
  kDivergentShuffle,
  kForgottenTail,
  kUnwrittenShared,
  kSharedOverrun,
  kMissingAtomic,
};

inline constexpr unsigned kBlock = 64;

/// Sum of `value` over the warp, in every lane.
template <Bug bug>
ELBO_DEVICE float warp_sum(float value) {
  if (bug == Bug::kDivergentShuffle && threadIdx.x % kWarpSize < 16) {
    value += __shfl_xor_sync(kFullWarp, value, 8);
  }
  ELBO_UNROLL
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kFullWarp, value, offset);
  }
  return value;
}

/// Sum of `value` over the block, in every thread; every thread of the block must call.
template <Bug bug>
ELBO_DEVICE float block_sum(float value) {
  ELBO_SHARED(float, partial, kBlock / kWarpSize);
  const unsigned lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  value = warp_sum<bug>(value);
  __syncthreads();  // earlier readers of partial are done
  if (lane == 0) partial[bug == Bug::kSharedOverrun ? warp + 1 : warp] = value;
  if (bug != Bug::kMissingBarrier) __syncthreads();
  return warp_sum<Bug::kNone>(lane < kBlock / kWarpSize ? partial[lane] : 0.0f);
}

struct RowSumArgs {
  const float* x;  // [rows, columns]
  float* sums;     // [rows]
  int rows;
  int columns;
};

/// sums[row] = sum of x[row, :]; one block per row.
template <Bug bug>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kBlock) row_sum_kernel(RowSumArgs args) {
  const float* row = args.x + static_cast<int64_t>(blockIdx.x) * args.columns;
  const int column = static_cast<int>(threadIdx.x);
  if (bug == Bug::kExitBeforeBarrier && column >= args.columns) return;
  float sum = 0.0f;
  const int end = bug == Bug::kForgottenTail ? args.columns + 1 : args.columns;
  for (int i = column; i < end; i += kBlock) sum += row[i];
  if (bug == Bug::kDivergentBarrier && column < 32) __syncthreads();
  sum = block_sum<bug>(sum);
  if (column == 0) args.sums[blockIdx.x] = sum;
}

struct CopyArgs {
  const float* source;
  float* target;
  int64_t count;
};

/// target = source, four at a time and the ragged tail one by one.
template <bool vectorised>
ELBO_KERNEL void copy_kernel(CopyArgs args) {
  const int64_t first = 4 * (int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (vectorised && first + 4 <= args.count) {
    store4(args.target + first, load4(args.source + first));
    return;
  }
  for (int64_t i = first; i < first + 4 && i < args.count; ++i) args.target[i] = args.source[i];
}

struct ColumnSumArgs {
  const float* x;  // [rows, columns]
  float* sums;     // [columns]
  int rows;
  int columns;
};

/// sums[column] = sum of x[:, column]; blocks of 32 columns by blockDim.y rows, in dynamic shared
/// memory of blockDim.y * 33 floats.
template <Bug bug>
ELBO_KERNEL void column_sum_kernel(ColumnSumArgs args) {
  ELBO_DYNAMIC_SHARED(float, tile);
  const int column = static_cast<int>(blockIdx.x * kWarpSize + threadIdx.x);
  const bool inside = column < args.columns;
  float sum = 0.0f;
  if (inside) {
    for (int row = static_cast<int>(threadIdx.y); row < args.rows;
         row += static_cast<int>(blockDim.y)) {
      sum += args.x[static_cast<int64_t>(row) * args.columns + column];
    }
  }
  if (bug != Bug::kUnwrittenShared || threadIdx.y != 1) tile[threadIdx.y * 33 + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || !inside) return;
  sum = 0.0f;
  for (unsigned y = 0; y < blockDim.y; ++y) sum += tile[y * 33 + threadIdx.x];
  args.sums[column] = sum;
}

struct TotalArgs {
  const float* x;
  int64_t count;
  float* partial;    // [gridDim.x]
  unsigned* ticket;  // zero before and after
  float* total;
};

/// *total = sum of x in a fixed order: the last block to finish adds the others' partial sums.
template <Bug bug>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kBlock) total_kernel(TotalArgs args) {
  ELBO_SHARED(unsigned, rank, 1);
  float sum = 0.0f;
  for (int64_t i = int64_t{blockIdx.x} * kBlock + threadIdx.x; i < args.count;
       i += int64_t{gridDim.x} * kBlock) {
    sum += args.x[i];
  }
  sum = block_sum<Bug::kNone>(sum);
  if (threadIdx.x == 0) {
    args.partial[blockIdx.x] = sum;
    if (bug == Bug::kMissingAtomic) {
      rank[0] = (*args.ticket)++;
    } else {
      __threadfence();
      rank[0] = atomicAdd(args.ticket, 1u);
    }
  }
  __syncthreads();
  if (rank[0] != gridDim.x - 1) return;
  __threadfence();
  sum = block_sum<Bug::kNone>(threadIdx.x < gridDim.x ? args.partial[threadIdx.x] : 0.0f);
  if (threadIdx.x != 0) return;
  *args.total = sum;
  *args.ticket = 0;
}

template <class Real>
struct ArithmeticArgs {
  const Real* x;         // [count]
  const uint32_t* bits;  // [count]
  Real* reals;           // [count]
  uint64_t* integers;    // [count]
  unsigned char* bytes;  // [count]
  unsigned* even_lanes;  // [count]
  int count;
};

/// Operations that all executions must round alike, and the integer work of a random generator.
template <class Real>
ELBO_KERNEL void arithmetic_kernel(ArithmeticArgs<Real> args) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const unsigned votes = __ballot_sync(kFullWarp, i % 2 == 0);
  if (i >= args.count) return;
  const Real x = args.x[i];
  const uint32_t bits = args.bits[i];

  Real powers[4] = {Real(1), x, x * x, math::fma(x, x, x)};  // indexed at run time: local memory
  for (uint32_t k = 0; k < bits % 3; ++k) powers[(bits + k) % 4] /= Real(3) + x;
  args.reals[i] = math::sqrt(powers[bits % 4] * powers[bits % 4]) + static_cast<Real>(bits) -
                  static_cast<Real>(static_cast<int>(bits));

  const uint64_t product = uint64_t{bits} * 0xD2511F53u;
  const uint32_t high = static_cast<uint32_t>(product >> 32) ^ (bits << 7 | bits >> 25);
  args.integers[i] = product / (1 + bits % 1000) + high % 77 + static_cast<uint64_t>(x * x);
  args.bytes[i] = static_cast<unsigned char>(args.bytes[i] + (bits >> 3));
  args.even_lanes[i] = votes;
}

struct CosineArgs {
  const double* x;
  double* y;
  int count;
};

/// y = cos(x); for large x the compiler calls a function that it does not inline. Templated like
/// all kernels of this header, so that it may be included more than once.
template <int scale>
ELBO_KERNEL void cosine_kernel(CosineArgs args) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < args.count) args.y[i] = cos(scale * args.x[i]);
}

}  // namespace elbo::cuda::sample
