// CUDA's status codes as errors.
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

#include "kernels/core/error.hpp"

namespace elbo::cuda {

/// Throws DeviceError, "the GPU failed to <action>: <reason>", unless all is well.
inline void check(cudaError_t status, std::string_view action) {
  if (status == cudaSuccess) return;
  throw DeviceError("the GPU failed to " + std::string(action) + ": " + cudaGetErrorString(status) +
                    " (" + cudaGetErrorName(status) + ")");
}

}  // namespace elbo::cuda
