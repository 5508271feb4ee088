// The CUDA runtime's functions: devices and errors.
#include <cstring>

#include "cuda_emulation/simulated_gpu/call.hpp"
#include "cuda_emulation/simulated_gpu/functions.hpp"
#include "cuda_emulation/simulated_gpu/memory.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"

using namespace elbo::cuda::simulated;

namespace {

constexpr int kMajor = 9, kMinor = 0, kMultiprocessors = 132;
thread_local int current_device = 0;

void need_device(const Call& call, int device) {
  if (device != 0) call.refuse(cudaErrorInvalidDevice);
}

cudaDeviceProp describe() {
  cudaDeviceProp p{};
  std::strcpy(p.name, "Simulated H200");
  p.totalGlobalMem = Options::get().memory;
  p.sharedMemPerBlock = kSharedWithoutOptIn;
  p.sharedMemPerBlockOptin = kSharedPerBlock;
  p.sharedMemPerMultiprocessor = kSharedPerBlock + 1024;
  p.regsPerBlock = 65536;
  p.warpSize = 32;
  p.maxThreadsPerBlock = kThreadsPerBlock;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = kThreadsPerBlock;
  p.maxThreadsDim[2] = 64;
  p.maxGridSize[0] = 0x7fffffff;
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.major = kMajor;
  p.minor = kMinor;
  p.multiProcessorCount = kMultiprocessors;
  p.l2CacheSize = 50 << 20;
  p.unifiedAddressing = 1;
  p.concurrentKernels = 1;
  p.asyncEngineCount = 3;
  return p;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", kOrdinary, [&](Call&) { *count = 1; });
}

cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice", kOrdinary, [&](Call& call) {
    need_device(call, device);
    current_device = device;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call("cudaGetDevice", kOrdinary, [&](Call&) { *device = current_device; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call("cudaGetDeviceProperties", kOrdinary, [&](Call& call) {
    need_device(call, device);
    *properties = describe();
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call("cudaDeviceGetAttribute", kOrdinary, [&](Call& call) {
    need_device(call, device);
    switch (attribute) {
      case cudaDevAttrComputeCapabilityMajor:
        *value = kMajor;
        break;
      case cudaDevAttrComputeCapabilityMinor:
        *value = kMinor;
        break;
      case cudaDevAttrMultiProcessorCount:
        *value = kMultiprocessors;
        break;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = static_cast<int>(kSharedPerBlock);
        break;
      case cudaDevAttrMaxThreadsPerBlock:
        *value = static_cast<int>(kThreadsPerBlock);
        break;
      case cudaDevAttrCooperativeLaunch:
        *value = 0;
        break;
      default:
        call.misuse(cudaErrorInvalidValue, "an attribute that is not simulated");
    }
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  return call("cudaDriverGetVersion", kOrdinary, [&](Call&) { *version = CUDART_VERSION; });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return call("cudaRuntimeGetVersion", kOrdinary, [&](Call&) { *version = CUDART_VERSION; });
}

cudaError_t cudaDeviceReset() {
  const std::lock_guard lock(Gpu::get().mutex);
  Gpu::get().reset();
  Memory::get().release_all();
  live_graphs() = {};
  last_error = cudaSuccess;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = Gpu::get().lasting_error;
  return error;
}

cudaError_t cudaPeekAtLastError() { return last_error; }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define ELBO_ERROR(name) \
  case name:             \
    return #name;
#include <error_names.inc>
#undef ELBO_ERROR
    default:
      return "unrecognized error code";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorUnknown:
      return "unknown error";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorNotSupported:
      return "operation not supported";
    default:
      return "error without a text in the simulation";
  }
}

}  // extern "C"
