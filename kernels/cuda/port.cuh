// The only header a kernel includes besides kernels/math and its contract. It lets one kernel
// source be compiled by nvcc for a GPU and by g++ or clang++ (ELBO_CUDA_EMULATION) for the tests,
// which run it on machines without one.
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

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#define ELBO_KERNEL __global__
#define ELBO_LAUNCH_BOUNDS(threads) __launch_bounds__(threads)
#define ELBO_DEVICE __device__ __forceinline__
#define ELBO_UNROLL _Pragma("unroll")
/// `T name[count]` in the block's static shared memory; uninitialised.
#define ELBO_SHARED(T, name, count) __shared__ T name[count]
/// `T* name`: the block's dynamic shared memory, 16-byte aligned; its size is given at launch.
#define ELBO_DYNAMIC_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char elbo_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(elbo_dynamic_shared)

#elif defined(ELBO_CUDA_EMULATION)
#include "tests/cuda_emulation/cuda_language.hpp"

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

using Stream = cudaStream_t;

/// Four floats in one access; `source` must be 16-byte aligned.
ELBO_DEVICE float4 load4(const float* source) { return *reinterpret_cast<const float4*>(source); }
ELBO_DEVICE void store4(float* target, float4 value) { *reinterpret_cast<float4*>(target) = value; }

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

}  // namespace detail

/// Starts `kernel` on `stream`; throws DeviceError where the launch itself is refused.
template <class Args>
void launch(void (*kernel)(Args), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
            const std::type_identity_t<Args>& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  const void* entry = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > detail::kSharedBytesWithoutOptIn) {
    detail::check_launch(cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              static_cast<int>(shared_bytes)),
                         entry);
  }
  kernel<<<grid, block, shared_bytes, stream>>>(args);
  detail::check_launch(cudaGetLastError(), entry);
}

#else

using Stream = void*;

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

}  // namespace elbo::cuda
