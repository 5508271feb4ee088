// cuDNN as a ProductLibrary: convolutions. Loaded on first use, so that the program runs without
// it. A build without its headers has none.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "kernels/cuda/library.hpp"
#include "kernels/cuda/shared_library.hpp"

namespace elbo::cuda {

/// Allocates workspace for algorithms; throws OutOfMemory if memory is exhausted.
using Allocate = std::function<std::shared_ptr<void>(size_t bytes)>;

/// Returns cuDNN on the current GPU, or null and sets `reason` if it cannot be loaded or started.
/// `search`: the files to try; null for the default.
std::unique_ptr<ProductLibrary> make_cudnn(Allocate allocate, std::string& reason,
                                           const LibrarySearch* search = nullptr);

}  // namespace elbo::cuda
