// Runs the PTX that nvcc made of a kernel, so that device-only code and the compiler's own rounding
// are exercised too. Exact for all instructions but the hardware's approximations (.approx)
// and the order in which mma adds (tensor_core.hpp).
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
  /// Loads the modules; throws KernelError where one cannot be read.
  explicit PtxExecutor(const std::vector<std::filesystem::path>& paths);

  /// Runs the entry that has the kernel's name; throws KernelError, also where there is none.
  void operator()(const Launch& launch) const;

 private:
  std::shared_ptr<const std::vector<ptx::Module>> modules_;
};

/// "a.ptx:b.ptx" as the build hands it over in ELBO_PTX_FILES; no files for "".
std::vector<std::filesystem::path> split_paths(std::string_view paths);

}  // namespace elbo::cuda::emulation
