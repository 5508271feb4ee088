// Looks up the program's kernels by their host functions.
#pragma once

#include <string>

#include "cuda_emulation/simulated_gpu/kernels.hpp"

namespace elbo::cuda::simulated {

inline constexpr size_t kSharedPerBlock = size_t{227} * 1024;
inline constexpr size_t kSharedWithoutOptIn = size_t{48} * 1024;
inline constexpr unsigned kThreadsPerBlock = 1024;

struct Function {
  std::string name;
  const Kernel* kernel = nullptr;
  size_t dynamic_shared_limit = kSharedWithoutOptIn;
};

/// Returns the kernel of a host function, or null if none is registered or it has no PTX.
Function* find_function(const void* host);

}  // namespace elbo::cuda::simulated
