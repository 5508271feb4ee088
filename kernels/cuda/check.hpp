// CUDA's status codes as errors.
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

#include "kernels/cuda/gpu_error.hpp"

namespace elbo::cuda {

/// Whether CUDA documents the error as one that only a new process recovers from.
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

/// Throws DeviceError for any status but success, GpuLost for a sticky one, OutOfMemory for want
/// of memory: "cudaGraphLaunch failed: out of memory, cudaErrorMemoryAllocation
/// (step_graph.cu:44)". Of `call`, an expression or a text, the part before the arguments is shown.
inline void check(cudaError_t status, std::string_view call,
                  std::string_view file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (status == cudaSuccess) return;
  const std::string text =
      std::string(call.substr(0, call.find('('))) + " failed: " + cudaGetErrorString(status) +
      ", " + cudaGetErrorName(status) + " (" +
      std::string(file.substr(file.find_last_of('/') + 1)) + ':' + std::to_string(line) + ')';
  if (is_sticky(status)) throw GpuLost("the GPU is lost to this process: " + text);
  cudaGetLastError();  // so that no later call reports it
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw DeviceError(text);
}

/// The same for destructors: ignores a failure. A sticky error is reported by the next call.
inline void check_nothrow(cudaError_t status) noexcept {
  if (status != cudaSuccess) cudaGetLastError();
}

/// For a caller that continues after a failure, perhaps one that a library reported: throws GpuLost
/// if the GPU cannot go on, else clears CUDA's last error. Waits for the GPU, so it must not be
/// called during a capture.
inline void recover(std::string_view file = __builtin_FILE(), int line = __builtin_LINE()) {
  for (const cudaError_t status : {cudaDeviceSynchronize(), cudaGetLastError()})
    if (is_sticky(status)) check(status, "an earlier call", file, line);
}

}  // namespace elbo::cuda

#define ELBO_CUDA(call) ::elbo::cuda::check((call), #call)
