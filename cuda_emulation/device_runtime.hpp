// What emulated device code calls: barriers, warp collectives and shared memory of the running
// fiber. Kernels reach it through CUDA's own names, in cuda_language.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_emulation/tensor_core.hpp"

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
  kMmaTf32,
  kMmaBf16,
};

struct WarpRequest {
  WarpOp op = WarpOp::kSync;
  unsigned mask = 0;
  uint64_t value = 0;
  int argument = 0;
  int width = 32;
  MmaFragments* fragments = nullptr;  // mma: replaced by the result
};

/// The *_sync functions: waits for every lane of the mask, returns this lane's result.
uint64_t warp_collective(const WarpRequest& request, Location at);

/// d += a b, `op` being one of the mma: waits for all 32 lanes.
void mma(WarpOp op, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Location at);

/// cp.async: `bytes` bytes, zeros where !present, arrive with the wait that covers their group; NaN
/// bits until then. The target must be shared memory, both addresses multiples of `bytes`.
void copy_async(void* shared, const void* global, size_t bytes, bool present, Location at);
void copy_async_commit();
void copy_async_wait(int pending);

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
