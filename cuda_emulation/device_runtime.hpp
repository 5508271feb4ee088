// Runtime functions for emulated device code: barriers, warp collectives and shared memory of the
// running fiber. Kernels call them by CUDA's own names, declared in cuda_language.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_emulation/tensor_core.hpp"

namespace elbo::cuda::emulation {

/// A position in a kernel's source. As a default argument, current() records the caller's position.
struct Location {
  const char* file = "";
  int line = 0;

  static constexpr Location current(const char* file = __builtin_FILE(),
                                    int line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class BarrierOp { kSync, kCount, kAnd, kOr };

/// Implements __syncthreads and its variants. Returns the reduction of `predicate` over the block.
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
  MmaFragments* fragments = nullptr;  // mma: the operands; the result replaces d
};

/// Implements the *_sync functions: waits for every lane of the mask and returns this lane's
/// result.
uint64_t warp_collective(const WarpRequest& request, Location at);

/// Computes d += a b, with `op` one of the kMma operations. Waits for all 32 lanes.
void mma(WarpOp op, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Location at);

/// Implements cp.async. The `bytes` bytes (zeros if !present) are written by the wait that covers
/// their group; until then the target holds NaN bits. The target must be shared memory, and both
/// addresses multiples of `bytes`.
void copy_async(void* shared, const void* global, size_t bytes, bool present, Location at);
void copy_async_commit();
void copy_async_wait(int pending);

/// Implements __threadfence; thread_has_fenced returns true once the running thread has called it.
void fence_thread();
bool thread_has_fenced();

/// Returns the block's static shared variable with this identity. The first use allocates it,
/// filled with NaN bits and surrounded by red zones.
void* static_shared(const void* identity, size_t bytes, size_t alignment);
void* dynamic_shared();

/// Ends the launch with a KernelError unless `address` is a multiple of `alignment`.
void require_alignment(const void* address, size_t alignment, Location at);

}  // namespace elbo::cuda::emulation
