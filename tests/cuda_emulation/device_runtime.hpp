// What emulated device code calls: barriers, warp collectives and shared memory of the running
// fiber. Kernels reach it through CUDA's own names, in cuda_language.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elbo::cuda::emulation {

/// A place in a kernel's source, taken where a function with it as default argument is called.
struct Location {
  const char* file = "";
  int line = 0;

  static constexpr Location current(const char* file = __builtin_FILE(),
                                    int line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class BarrierOp { kSync, kCount, kAnd, kOr };

/// __syncthreads and its relatives; returns the reduction of `predicate` over the block.
int block_barrier(BarrierOp op, bool predicate, Location at);

enum class WarpOp {
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kAny,
  kAll,
  kSync,
};

struct WarpRequest {
  WarpOp op = WarpOp::kSync;
  unsigned mask = 0;
  uint64_t value = 0;
  int argument = 0;
  int width = 32;
};

/// The *_sync functions: waits for every lane of the mask, returns this lane's result.
uint64_t warp_collective(const WarpRequest& request, Location at);

/// __threadfence of the running thread, and whether it has issued one.
void fence_thread();
bool thread_has_fenced();

/// The block's static shared variable of this identity, made at its first use: filled with NaN
/// bits, red zones around it.
void* static_shared(const void* identity, size_t bytes, size_t alignment);
void* dynamic_shared();

/// Ends the launch with a KernelError unless `address` is a multiple of `alignment`.
void require_alignment(const void* address, size_t alignment, Location at);

}  // namespace elbo::cuda::emulation
