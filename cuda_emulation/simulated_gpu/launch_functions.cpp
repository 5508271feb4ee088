// The CUDA runtime's functions: kernels, their attributes and launches.
#include <cstring>

#include "cuda_emulation/simulated_gpu/call.hpp"
#include "cuda_emulation/simulated_gpu/functions.hpp"
#include "cuda_emulation/simulated_gpu/report.hpp"

using namespace elbo::cuda::simulated;

namespace {

struct CallConfiguration {
  dim3 grid, block;
  size_t shared_bytes;
  cudaStream_t stream;
};
thread_local std::vector<CallConfiguration> configurations;

Extent extent(dim3 d) { return {d.x, d.y, d.z}; }

Function& need_function(const Call& call, const void* host) {
  Function* found = find_function(host);
  if (found == nullptr) call.misuse(cudaErrorInvalidDeviceFunction, "no such kernel");
  return *found;
}

void check_limits(const Call& call, const Function& function, const KernelLaunch& launch) {
  const std::string name = readable(function.name);
  const Extent &grid = launch.grid, &block = launch.block;
  const Kernel& kernel = *function.kernel;
  if (grid.count() == 0 || block.count() == 0 || block.count() > kThreadsPerBlock || block.z > 64 ||
      grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    call.misuse(cudaErrorInvalidConfiguration, name + ": grid or block out of range");
  if (kernel.max_threads != 0 && block.count() > kernel.max_threads)
    call.misuse(cudaErrorLaunchOutOfResources, name + ": more threads than its launch bounds");
  if (launch.shared_bytes > function.dynamic_shared_limit ||
      launch.shared_bytes + kernel.static_shared_bytes > kSharedPerBlock)
    call.misuse(cudaErrorInvalidValue, name + ": more dynamic shared memory than it may have");
}

void launch(const Call& call, const void* host, dim3 grid, dim3 block, void** arguments,
            size_t shared_bytes, cudaStream_t stream, bool programmatic) {
  CUstream_st& where = call.stream(stream);
  const Function& function = need_function(call, host);
  const Kernel& kernel = *function.kernel;
  KernelLaunch made{&kernel,      host,          std::vector<std::byte>(kernel.parameter_bytes),
                    extent(grid), extent(block), shared_bytes,
                    programmatic};
  check_limits(call, function, made);
  for (size_t i = 0; i < kernel.parameters.size(); ++i)
    std::memcpy(made.arguments.data() + kernel.parameters[i].offset, arguments[i],
                kernel.parameters[i].size);
  call.submit(where, {.name = readable(function.name), .work = std::move(made)});
}

}  // namespace

extern "C" {

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* host) {
  return call("cudaFuncGetAttributes", kOrdinary, [&](Call& call) {
    const Function& function = need_function(call, host);
    const size_t bound = function.kernel->max_threads;
    *attributes = {};
    attributes->maxThreadsPerBlock = static_cast<int>(bound != 0 ? bound : kThreadsPerBlock);
    attributes->sharedSizeBytes = function.kernel->static_shared_bytes;
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(function.dynamic_shared_limit);
    attributes->ptxVersion = attributes->binaryVersion = 90;
  });
}

cudaError_t cudaFuncSetAttribute(const void* host, cudaFuncAttribute attribute, int value) {
  return call("cudaFuncSetAttribute", kOrdinary, [&](Call& call) {
    Function& function = need_function(call, host);
    switch (attribute) {
      case cudaFuncAttributeMaxDynamicSharedMemorySize:
        if (value < 0 ||
            static_cast<size_t>(value) + function.kernel->static_shared_bytes > kSharedPerBlock)
          call.misuse(cudaErrorInvalidValue, "more shared memory than a block can have");
        function.dynamic_shared_limit = static_cast<size_t>(value);
        break;
      case cudaFuncAttributePreferredSharedMemoryCarveout:
        if (value < -1 || value > 100)
          call.misuse(cudaErrorInvalidValue, "a carveout that is no percentage");
        break;  // it affects only the speed
      default:
        call.misuse(cudaErrorInvalidValue, "an attribute that is not simulated");
    }
  });
}

cudaError_t cudaFuncGetName(const char** name, const void* host) {
  return call("cudaFuncGetName", kOrdinary,
              [&](Call& call) { *name = need_function(call, host).name.c_str(); });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* host,
                                                          int threads, size_t shared_bytes) {
  return call("cudaOccupancyMaxActiveBlocksPerMultiprocessor", kOrdinary, [&](Call& call) {
    constexpr size_t kThreads = 2048, kBlocks = 32, kReserved = 1024;
    const size_t shared = need_function(call, host).kernel->static_shared_bytes + shared_bytes;
    if (threads <= 0) call.misuse(cudaErrorInvalidValue, "blocks without threads");
    *blocks = static_cast<int>(std::min({kBlocks, kThreads / static_cast<size_t>(threads),
                                         (kSharedPerBlock + kReserved) / (shared + kReserved)}));
  });
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared_bytes, cudaStream_t stream) {
  return call("cudaLaunchKernel", kOrdinary, [&](Call& call) {
    launch(call, function, grid, block, arguments, shared_bytes, stream, false);
  });
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                void** arguments) {
  return call("cudaLaunchKernelExC", kOrdinary, [&](Call& call) {
    bool programmatic = false;
    for (unsigned i = 0; i < config->numAttrs; ++i) {
      const cudaLaunchAttribute& attribute = config->attrs[i];
      switch (attribute.id) {
        case cudaLaunchAttributeProgrammaticStreamSerialization:
          programmatic = attribute.val.programmaticStreamSerializationAllowed != 0;
          break;
        case cudaLaunchAttributeIgnore:
        case cudaLaunchAttributePriority:
        case cudaLaunchAttributePreferredSharedMemoryCarveout:
          break;  // they affect only the speed
        default:
          call.misuse(cudaErrorNotSupported, "an attribute that is not simulated");
      }
    }
    launch(call, function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes,
           config->stream, programmatic);
  });
}

// nvcc compiles kernel<<<...>>>(...) to calls of the following functions.

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared_bytes, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared_bytes, stream);
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes,
                                     CUstream_st* stream) {
  configurations.push_back({grid, block, shared_bytes, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes,
                                       void* stream) {
  const CallConfiguration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared_bytes = last.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = last.stream;
  return cudaSuccess;
}

}  // extern "C"
