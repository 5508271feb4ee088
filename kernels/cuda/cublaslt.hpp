// cuBLASLt as a ProductLibrary. Loaded at first use, so that the program starts without it.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/library.hpp"

namespace elbo::cuda {

/// cuBLASLt on the current GPU; null if it cannot be loaded or started, for `reason`.
std::unique_ptr<ProductLibrary> make_cublaslt(std::string& reason);

}  // namespace elbo::cuda
