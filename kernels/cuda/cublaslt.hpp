// cuBLASLt as a ProductLibrary. Loaded on first use, so that the program runs without it.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/library.hpp"

namespace elbo::cuda {

/// Returns cuBLASLt on the current GPU, or null and sets `reason` if it cannot be loaded or
/// started.
std::unique_ptr<ProductLibrary> make_cublaslt(std::string& reason);

}  // namespace elbo::cuda
