// The operations in streams' queues and graphs' nodes.
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
  const void* function = nullptr;  // the host function that identifies the kernel
  std::vector<std::byte> arguments;
  Extent grid, block;
  size_t shared_bytes = 0;
  bool programmatic = false;  // may start before the preceding kernel has ended
};

struct Copy {
  void* to = nullptr;
  const void* from = nullptr;
  size_t bytes = 0;
  uint64_t source_hash = 0;       // of the source in host memory when the copy was queued
  std::vector<std::byte> staged;  // content of pageable memory that was read in the call
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
  double cost = 2.0;  // microseconds, without the time of a kernel's instructions
  std::variant<Nothing, KernelLaunch, Copy, Fill, LibraryWork> work;

  const KernelLaunch* kernel() const { return std::get_if<KernelLaunch>(&work); }
  /// Returns true for kernels, including those of libraries: their outgoing edges may be
  /// programmatic.
  bool is_kernel() const {
    return kernel() != nullptr || std::holds_alternative<LibraryWork>(work);
  }
  /// Returns true if both are the same kernel with the same arguments, or work of a library with
  /// the same name.
  bool repeats(const Operation& other) const;
};

/// Runs the whole operation; returns its simulated time in microseconds. Throws a std::exception if
/// it faults.
double run(const Operation& operation, ActorId actor);
/// Returns the simulated time in microseconds of a kernel that executed `instructions`
/// instructions.
double kernel_time(const Operation& operation, uint64_t instructions);

uint64_t hash_of(const void* memory, size_t bytes);

}  // namespace elbo::cuda::simulated
