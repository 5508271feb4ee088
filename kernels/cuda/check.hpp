// CUDA's status codes as errors.
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

#include "kernels/cuda/gpu_error.hpp"

namespace elbo::cuda {

/// True if, by CUDA's documentation, only a new process recovers from the error.
constexpr bool is_sticky(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorContextIsDestroyed:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorMpsClientTerminated:
    case cudaErrorExternalDevice:
#if CUDART_VERSION >= 12080
    case cudaErrorContained:
    case cudaErrorTensorMemoryLeak:
#endif
      return true;
    default:
      return false;
  }
}

/// Throws DeviceError for any status but success, GpuLost for a sticky one, OutOfMemory if memory
/// is exhausted: "cudaGraphLaunch failed: out of memory, cudaErrorMemoryAllocation
/// (step_graph.cu:44)". The message shows `call`, an expression or a text, up to its arguments.
inline void check(cudaError_t status, std::string_view call,
                  std::string_view file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (status == cudaSuccess) return;
  const std::string text =
      std::string(call.substr(0, call.find('('))) + " failed: " + cudaGetErrorString(status) +
      ", " + cudaGetErrorName(status) + " (" +
      std::string(file.substr(file.find_last_of('/') + 1)) + ':' + std::to_string(line) + ')';
  if (is_sticky(status)) throw GpuLost("the GPU is lost to this process: " + text);
  cudaGetLastError();  // so that no later call returns it
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw DeviceError(text);
}

/// For destructors: ignores a failure. A sticky error is reported by the next call.
inline void check_nothrow(cudaError_t status) noexcept {
  if (status != cudaSuccess) cudaGetLastError();
}

/// For a caller that continues after a failure, possibly reported by a library: throws GpuLost if
/// the process has lost the GPU, else clears CUDA's last error. Waits for the GPU, so it must not
/// be called during a capture.
inline void recover(std::string_view file = __builtin_FILE(), int line = __builtin_LINE()) {
  for (const cudaError_t status : {cudaDeviceSynchronize(), cudaGetLastError()})
    if (is_sticky(status)) check(status, "an earlier call", file, line);
}

}  // namespace elbo::cuda

#define ELBO_CUDA(call) ::elbo::cuda::check((call), #call)
