// Small kernels that test the emulator. Each has the structure of a kind of real kernel, and Bug
// plants one of the mistakes that the emulator must detect.
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
  kDivergentMma,
  kExitBeforeMma,
  kMissingWait,
  kLateWait,
  kCopyToGlobal,
};

inline constexpr unsigned kBlock = 64;

/// Returns the sum of `value` over the warp, in every lane.
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

/// Returns the sum of `value` over the block, in every thread. Every thread of the block must call.
template <Bug bug>
ELBO_DEVICE float block_sum(float value) {
  ELBO_SHARED(float, partial, kBlock / kWarpSize);
  const unsigned lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  value = warp_sum<bug>(value);
  __syncthreads();  // a previous call may still be reading partial
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

/// target = source, in vectors of four elements; the remainder is copied element by element.
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

/// sums[column] = sum of x[:, column]. A block has 32 columns by blockDim.y rows and needs
/// blockDim.y * 33 floats of dynamic shared memory.
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
  unsigned* ticket;  // 0 before and after the launch
  float* total;
};

/// *total = sum of x in a fixed order: the last block to finish adds the partial sums of all
/// blocks.
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
      rank[0] = take_ticket(args.ticket);
    }
  }
  __syncthreads();
  if (rank[0] != gridDim.x - 1) return;
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

/// Operations that every execution must round identically, and the integer operations of a random
/// number generator.
template <class Real>
ELBO_KERNEL void arithmetic_kernel(ArithmeticArgs<Real> args) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const unsigned votes = __ballot_sync(kFullWarp, i % 2 == 0);
  if (i >= args.count) return;
  const Real x = args.x[i];
  const uint32_t bits = args.bits[i];

  // In local memory, because it is indexed at run time.
  Real powers[4] = {Real(1), x, x * x, math::fma(x, x, x)};
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

/// y = cos(scale * x). For large arguments, the compiled code calls a function that is not inlined.
/// Like all kernels of this header it is a template, so that several sources may include the
/// header.
template <int scale>
ELBO_KERNEL void cosine_kernel(CosineArgs args) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < args.count) args.y[i] = cos(scale * args.x[i]);
}

struct TicketArgs {
  unsigned* counter;
  unsigned* tickets;  // [gridDim.x]
  unsigned* last;     // counts the blocks that drew the last ticket
};

/// Every block takes one ticket.
template <Bug bug>
ELBO_KERNEL void ticket_kernel(TicketArgs args) {
  wait_for_previous_kernel();
  if (threadIdx.x == 0) {
    const unsigned ticket = take_ticket(args.counter);
    args.tickets[blockIdx.x] = ticket;
    if (ticket == gridDim.x - 1) ++*args.last;
  }
}

struct StagedCopyArgs {
  const float* source;  // [count]
  float* target;        // [2 stages, kBlock, width]
  int count;
};

/// target = source, padded with zeros, through shared memory in two stages. Each thread writes the
/// elements that another thread has copied.
template <int width, Bug bug>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kBlock) staged_copy_kernel(StagedCopyArgs args) {
  constexpr int kStage = static_cast<int>(kBlock) * width;
  ELBO_DYNAMIC_SHARED(float, staged);  // [2 stages, kBlock, width]
  const int own = static_cast<int>(threadIdx.x) * width;
  if (bug == Bug::kLateWait) {  // clears old data, which could be mistaken for the copy
    for (int i = static_cast<int>(threadIdx.x); i < 2 * kStage; i += kBlock) staged[i] = 0.0f;
    __syncthreads();
  }
  for (int first = own; first < 2 * kStage; first += kStage) {
    const bool present = first < args.count;
    const float* from = present ? args.source + first : args.source;
    float* to = bug == Bug::kCopyToGlobal ? args.target + first : staged + first;
    if constexpr (width == 4) {
      copy_async16(to, from, present);
    } else {
      copy_async4(to, from, present);
    }
    copy_async_commit();
  }
  const int other = kStage - width - own;
  if (bug != Bug::kMissingWait) copy_async_wait<1>();
  if (bug != Bug::kMissingBarrier) __syncthreads();
  for (int i = 0; i < width; ++i) args.target[other + i] = staged[other + i];
  if (bug != Bug::kMissingWait && bug != Bug::kLateWait) copy_async_wait<0>();
  __syncthreads();
  for (int i = kStage; i < kStage + width; ++i) args.target[other + i] = staged[other + i];
  if (bug == Bug::kLateWait) {
    __syncthreads();
    copy_async_wait<0>();
  }
}

struct Tf32Args {
  const float* x;
  uint32_t* bits;
  int count;
};

/// bits = to_tf32(x).
template <Bug bug>
ELBO_KERNEL void tf32_kernel(Tf32Args args) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < args.count) args.bits[i] = to_tf32(args.x[i]);
}

template <class Element>
struct MmaArgs {
  const Element* a;  // [16, depth], as bits
  const Element* b;  // [depth, 8]
  float* d;          // [16, 8]
  int depth;
};

/// d += a b by one warp. Element holds the bits of an operand's element: uint32_t for float,
/// uint16_t for bfloat16.
template <class Element, Bug bug>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kWarpSize) mma_kernel(MmaArgs<Element> args) {
  constexpr bool bf16 = sizeof(Element) == 2;
  constexpr int kDepth = bf16 ? 16 : 8;
  const int group = static_cast<int>(threadIdx.x) / 4, member = static_cast<int>(threadIdx.x) % 4;
  if (bug == Bug::kExitBeforeMma && threadIdx.x == 31) return;
  const auto a = [&](int row, int k) { return uint32_t{args.a[row * args.depth + k]}; };
  const auto b = [&](int k) { return uint32_t{args.b[k * 8 + group]}; };
  float* rows[2] = {args.d + group * 8 + 2 * member, args.d + (group + 8) * 8 + 2 * member};
  float d[4] = {rows[0][0], rows[0][1], rows[1][0], rows[1][1]};
  for (int k = 0; k < args.depth; k += kDepth) {
    if constexpr (bf16) {
      const int low = k + 2 * member, high = low + 8;
      const auto pair = [&](int row, int at) { return a(row, at) | a(row, at + 1) << 16; };
      const uint32_t left[4] = {pair(group, low), pair(group + 8, low), pair(group, high),
                                pair(group + 8, high)};
      const uint32_t right[2] = {b(low) | b(low + 1) << 16, b(high) | b(high + 1) << 16};
      if (bug == Bug::kDivergentMma && threadIdx.x < 16) mma_bf16(d, left, right);
      mma_bf16(d, left, right);
    } else {
      const int low = k + member, high = low + 4;
      const uint32_t left[4] = {a(group, low), a(group + 8, low), a(group, high),
                                a(group + 8, high)};
      const uint32_t right[2] = {b(low), b(high)};
      if (bug == Bug::kDivergentMma && threadIdx.x < 16) mma_tf32(d, left, right);
      mma_tf32(d, left, right);
    }
  }
  for (int i = 0; i < 4; ++i) rows[i / 2][i % 2] = d[i];
}

}  // namespace elbo::cuda::sample
