// Errors of a GPU that callers distinguish; without CUDA's headers.
#pragma once

#include "kernels/core/error.hpp"

namespace elbo::cuda {

/// The GPU's context is corrupted by a fault: every later call of this process fails too.
class GpuLost : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// GPU memory or pinned memory is exhausted; other calls still work.
class OutOfMemory : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

}  // namespace elbo::cuda
