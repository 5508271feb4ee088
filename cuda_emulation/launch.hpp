// A kernel launch as data, and the switch that selects its executor: fibers (fibers.hpp) or the PTX
// interpreter (ptx.hpp).
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "kernels/core/error.hpp"
#include "cuda_emulation/vector_types.hpp"

namespace elbo::cuda::emulation {

/// The emulated kernel did something that CUDA leaves undefined or rejects. The first line of the
/// message names the position and the error; any further lines list the states of the block's
/// threads.
class KernelError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

struct Launch {
  const void* kernel;
  void (*invoke)(const void* kernel, const void* args);
  const void* args;
  size_t args_size;
  dim3 grid;
  dim3 block;
  size_t shared_bytes;
};

using Executor = std::function<void(const Launch&)>;

/// Makes `executor` run every later launch and returns the previous executor. Initially, fibers in
/// forward order run the launches.
Executor set_executor(Executor executor);

/// Runs one launch to its end; throws KernelError.
void execute(const Launch& launch);

/// Returns the mangled symbol name of a kernel, which is also its entry in PTX. Throws KernelError
/// if the kernel has no exported symbol (internal linkage, or a program linked without -rdynamic).
std::string kernel_name(const void* kernel);

/// Returns "(x, y, z)", for messages.
std::string index_text(uint3 index);

/// Restores the previous executor at the end of a scope.
class ScopedExecutor {
 public:
  explicit ScopedExecutor(Executor executor) : previous_(set_executor(std::move(executor))) {}
  ~ScopedExecutor() { set_executor(std::move(previous_)); }
  ScopedExecutor(const ScopedExecutor&) = delete;
  ScopedExecutor& operator=(const ScopedExecutor&) = delete;

 private:
  Executor previous_;
};

}  // namespace elbo::cuda::emulation
