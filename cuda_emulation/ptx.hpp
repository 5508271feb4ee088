// Runs the PTX that nvcc generated from a kernel, so that device-only code and the compiler's
// rounding are tested too. All instructions are exact except the hardware's approximations
// (.approx) and the order in which mma adds (tensor_core.hpp).
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "cuda_emulation/launch.hpp"

namespace elbo::cuda::emulation {

namespace ptx {
struct Module;
}

class PtxExecutor {
 public:
  /// Loads the modules; throws KernelError if one cannot be read.
  explicit PtxExecutor(const std::vector<std::filesystem::path>& paths);

  /// Runs the entry with the kernel's name. Throws KernelError, including when there is no such
  /// entry.
  void operator()(const Launch& launch) const;

 private:
  std::shared_ptr<const std::vector<ptx::Module>> modules_;
};

/// Splits "a.ptx:b.ptx", the format of ELBO_PTX_FILES. Returns no paths for "".
std::vector<std::filesystem::path> split_paths(std::string_view paths);

}  // namespace elbo::cuda::emulation
