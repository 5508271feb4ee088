// What streams queue and graphs hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "cuda_emulation/simulated_gpu/access.hpp"
#include "cuda_emulation/simulated_gpu/kernels.hpp"

namespace elbo::cuda::simulated {

struct KernelLaunch {
  const Kernel* kernel = nullptr;
  const void* function = nullptr;  // that stands for it on the host
  std::vector<std::byte> arguments;
  Extent grid, block;
  size_t shared_bytes = 0;
  bool programmatic = false;  // may start before the kernel before it has ended
};

struct Copy {
  void* to = nullptr;
  const void* from = nullptr;
  size_t bytes = 0;
  uint64_t source_hash = 0;       // of host memory, when it was queued
  std::vector<std::byte> staged;  // pageable memory that was read in the call
};

struct Fill {
  void* to = nullptr;
  int value = 0;
  size_t bytes = 0;
};

struct LibraryWork {
  std::function<void(Access&)> body;
};

struct Nothing {};

struct Operation {
  std::string name;
  double cost = 2.0;  // microseconds, besides a kernel's instructions
  std::variant<Nothing, KernelLaunch, Copy, Fill, LibraryWork> work;

  const KernelLaunch* kernel() const { return std::get_if<KernelLaunch>(&work); }
  /// True for kernels, also of libraries: they have programmatic edges.
  bool is_kernel() const {
    return kernel() != nullptr || std::holds_alternative<LibraryWork>(work);
  }
  /// True if it is the same kernel on the same arguments.
  bool repeats(const Operation& other) const;
};

/// Runs all of it; returns its time in microseconds. Throws a std::exception if it faults.
double run(const Operation& operation, ActorId actor);
/// Time of a kernel that executed so many instructions.
double kernel_time(const Operation& operation, uint64_t instructions);

uint64_t hash_of(const void* memory, size_t bytes);

}  // namespace elbo::cuda::simulated
