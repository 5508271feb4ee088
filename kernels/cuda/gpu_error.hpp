// Errors of a GPU that callers tell apart; without CUDA's headers.
#pragma once

#include "kernels/core/error.hpp"

namespace elbo::cuda {

/// The GPU's context is corrupted by a fault: every later call of this process fails too.
class GpuLost : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// The GPU has not enough free memory; other calls still work.
class OutOfMemory : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

}  // namespace elbo::cuda
