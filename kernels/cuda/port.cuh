// The only header that a kernel includes besides kernels/math and its contract. With it, nvcc
// compiles a kernel for a GPU, and g++ or clang++ (ELBO_CUDA_EMULATION) compile the same source for
// the tests, which run without a GPU.
//
//   struct ScaleArgs { const float* x; float* y; int64_t count; float factor; };
//
//   ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(256) scale_kernel(ScaleArgs args) {
//     const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
//     if (i < args.count) args.y[i] = args.factor * args.x[i];
//   }
//
//   launch(scale_kernel, blocks, 256, 0, stream, {x, y, count, factor});
//
// A kernel takes one trivially copyable struct by value and has external linkage (no `static`, no
// anonymous namespace, also not for its template arguments): the tests look it up by its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "kernels/core/error.hpp"
#include "kernels/cuda/stream.hpp"

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#include <mutex>
#include <set>
#include <utility>

#define ELBO_KERNEL __global__
#define ELBO_LAUNCH_BOUNDS(threads) __launch_bounds__(threads)
#define ELBO_DEVICE __device__ __forceinline__
#define ELBO_UNROLL _Pragma("unroll")
/// `T name[count]` in the block's static shared memory; uninitialised.
#define ELBO_SHARED(T, name, count) __shared__ T name[count]
/// `T* name`: the block's dynamic shared memory, 16-byte aligned; `launch` sets its size.
#define ELBO_DYNAMIC_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char elbo_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(elbo_dynamic_shared)

#elif defined(ELBO_CUDA_EMULATION)
#include "cuda_emulation/cuda_language.hpp"

#define ELBO_KERNEL __attribute__((noinline, visibility("default")))
#define ELBO_LAUNCH_BOUNDS(threads)
#define ELBO_DEVICE inline
#define ELBO_UNROLL
#define ELBO_SHARED(T, name, count)                                           \
  static const char elbo_identity_of_##name = 0;                              \
  T(&name)                                                                    \
  [count] = *static_cast<T(*)[count]>(::elbo::cuda::emulation::static_shared( \
      &elbo_identity_of_##name, sizeof(T[count]), alignof(T)))
#define ELBO_DYNAMIC_SHARED(T, name) \
  T* const name = static_cast<T*>(::elbo::cuda::emulation::dynamic_shared())

#else
#error "a kernel is compiled by nvcc, or with ELBO_CUDA_EMULATION for the tests"
#endif

namespace elbo::cuda {

inline constexpr unsigned kWarpSize = 32;
inline constexpr unsigned kFullWarp = 0xffffffffu;

#if defined(__CUDACC__)

/// Four floats in one access; `source` must be 16-byte aligned.
ELBO_DEVICE float4 load4(const float* source) { return *reinterpret_cast<const float4*>(source); }
ELBO_DEVICE void store4(float* target, float4 value) { *reinterpret_cast<float4*>(target) = value; }

/// Starts copying 16 bytes of global memory to shared memory, or zeros if !present (`global` is
/// then not read). Both addresses must be 16-byte aligned. The calling thread can read the bytes
/// after copy_async_wait, the block after a following __syncthreads.
ELBO_DEVICE void copy_async16(void* shared, const void* global, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
                 "l"(__cvta_generic_to_global(global)), "r"(present ? 16 : 0)
               : "memory");
}
/// The same with 4 bytes, 4-byte aligned.
ELBO_DEVICE void copy_async4(void* shared, const void* global, bool present) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
               :
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
                 "l"(__cvta_generic_to_global(global)), "r"(present ? 4 : 0)
               : "memory");
}
/// Commits the copies that the thread has started since its last group (possibly none) as a group.
ELBO_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until all of the thread's groups except the latest kPending are complete. A thread must
/// wait for all of its copies before it ends.
template <int kPending>
ELBO_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" : : "n"(kPending) : "memory");
}

/// The bits of x rounded to TF32: to nearest with 10 mantissa bits, ties away from zero. The low 13
/// bits are zero; infinity and NaN are unchanged.
ELBO_DEVICE uint32_t to_tf32(float x) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}

/// d += a b by the whole warp: a is [16, 8], b [8, 8], d [16, 8]. All 32 lanes must call together.
/// With g = lane / 4 and t = lane % 4 a lane holds
///   a: [g, t], [g + 8, t], [g, t + 4], [g + 8, t + 4]              b: [t, g], [t + 4, g]
///   d: [g, 2 t], [g, 2 t + 1], [g + 8, 2 t], [g + 8, 2 t + 1]
/// The hardware ignores the low 13 bits of a and b, so it truncates operands that to_tf32 has not
/// rounded.
ELBO_DEVICE void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// The same for a [16, 16] and b [16, 8] of bfloat16, two in a register, the first in its low half:
///   a: [g, 2 t ..], [g + 8, 2 t ..], [g, 2 t + 8 ..], [g + 8, 2 t + 8 ..]
///   b: [2 t .., g], [2 t + 8 .., g]
ELBO_DEVICE void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Programmatic dependent launch lets a kernel start before the previous ones of its graph have
/// ended. This waits until they have ended and their writes are visible, then lets the next kernel
/// start in turn. Every kernel of a program calls it before any thread returns and before it
/// accesses global memory other than its early reads (kernels/cuda/execution.cuh). Without such a
/// launch, or below sm_90, it does nothing.
///
/// Releasing the next kernel this early is safe, because that kernel also waits here: its accesses
/// come after the end of this kernel. Kernel N + 2 starts only when all blocks of N + 1 have passed
/// this point, hence after the end of N, so that at most two kernels of a chain overlap. All blocks
/// of a kernel are resident or finished before the next kernel starts, so waiting blocks cannot
/// displace the blocks that they wait for.
ELBO_DEVICE void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n\tgriddepcontrol.launch_dependents;" ::: "memory");
#endif
}

namespace detail {

inline constexpr size_t kSharedBytesWithoutOptIn = 48 * 1024;

inline void check_launch(cudaError_t status, const void* kernel) {
  if (status == cudaSuccess) return;
  const char* name = nullptr;
#if CUDART_VERSION >= 12030
  if (cudaFuncGetName(&name, kernel) != cudaSuccess) name = nullptr;
#endif
  throw DeviceError(std::string("cannot launch kernel ") + (name ? name : "of unknown name") +
                    ": " + cudaGetErrorString(status));
}

/// Requests the largest shared memory of a multiprocessor, once per GPU and kernel. A
/// multiprocessor changes its division between shared memory and cache only while it is idle, so
/// kernels with different requests could not overlap.
inline void prefer_shared_memory(const void* kernel) {
  static std::mutex mutex;
  static std::set<std::pair<int, const void*>> asked;
  int device = 0;
  check_launch(cudaGetDevice(&device), kernel);
  const std::lock_guard lock(mutex);
  if (!asked.emplace(device, kernel).second) return;
  check_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                    cudaSharedmemCarveoutMaxShared),
               kernel);
}

}  // namespace detail

/// Starts `kernel` on `stream`; throws DeviceError if the launch itself is refused.
template <class Args>
void launch(void (*kernel)(Args), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            const std::type_identity_t<Args>& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  const void* entry = reinterpret_cast<const void*>(kernel);
  detail::prefer_shared_memory(entry);
  if (shared_bytes > detail::kSharedBytesWithoutOptIn) {
    detail::check_launch(cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              static_cast<int>(shared_bytes)),
                         entry);
  }
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream.handle;
  config.attrs = &overlap;
  config.numAttrs = stream.overlapping ? 1 : 0;
  detail::check_launch(cudaLaunchKernelEx(&config, kernel, args), entry);
}

#else

ELBO_DEVICE float4 load4(const float* source,
                         emulation::Location caller = emulation::Location::current()) {
  emulation::require_alignment(source, sizeof(float4), caller);
  float4 value;
  __builtin_memcpy(&value, source, sizeof value);
  return value;
}
ELBO_DEVICE void store4(float* target, float4 value,
                        emulation::Location caller = emulation::Location::current()) {
  emulation::require_alignment(target, sizeof(float4), caller);
  __builtin_memcpy(target, &value, sizeof value);
}

ELBO_DEVICE void copy_async16(void* shared, const void* global, bool present,
                              emulation::Location caller = emulation::Location::current()) {
  emulation::copy_async(shared, global, 16, present, caller);
}
ELBO_DEVICE void copy_async4(void* shared, const void* global, bool present,
                             emulation::Location caller = emulation::Location::current()) {
  emulation::copy_async(shared, global, 4, present, caller);
}
ELBO_DEVICE void copy_async_commit() { emulation::copy_async_commit(); }
template <int kPending>
ELBO_DEVICE void copy_async_wait() {
  static_assert(kPending >= 0);
  emulation::copy_async_wait(kPending);
}

ELBO_DEVICE uint32_t to_tf32(float x) { return emulation::to_tf32(x); }
ELBO_DEVICE void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                          emulation::Location caller = emulation::Location::current()) {
  emulation::mma(emulation::WarpOp::kMmaTf32, d, a, b, caller);
}
ELBO_DEVICE void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                          emulation::Location caller = emulation::Location::current()) {
  emulation::mma(emulation::WarpOp::kMmaBf16, d, a, b, caller);
}

// Emulated kernels run in sequence.
ELBO_DEVICE void wait_for_previous_kernel() {}

/// Runs `kernel` to its end on the executor that the test selected.
template <class Args>
void launch(void (*kernel)(Args), dim3 grid, dim3 block, size_t shared_bytes, Stream,
            const std::type_identity_t<Args>& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  const auto invoke = [](const void* entry, const void* bytes) {
    reinterpret_cast<void (*)(Args)>(const_cast<void*>(entry))(*static_cast<const Args*>(bytes));
  };
  emulation::execute({.kernel = reinterpret_cast<const void*>(kernel),
                      .invoke = invoke,
                      .args = &args,
                      .args_size = sizeof(Args),
                      .grid = grid,
                      .block = block,
                      .shared_bytes = shared_bytes});
}

#endif

/// Increments a counter in global memory and returns its previous value. One thread of each block
/// calls it, to find the last block. The block must call __syncthreads before, to order the writes
/// of its other threads, and the last block again after, to read the writes of all blocks.
ELBO_DEVICE unsigned take_ticket(unsigned* counter) {
  __threadfence();
  const unsigned ticket = atomicAdd(counter, 1u);
  __threadfence();
  return ticket;
}

}  // namespace elbo::cuda
