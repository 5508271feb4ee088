// The kernels of the program, by the host functions that stand for them.
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

/// Null if none is registered, or if there is no PTX for it.
Function* find_function(const void* host);

}  // namespace elbo::cuda::simulated
