// cuDNN as a ProductLibrary: convolutions. Loaded at first use, so that the program starts without
// it; where its headers were missing when this was built, there is none.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "kernels/cuda/library.hpp"
#include "kernels/cuda/shared_library.hpp"

namespace elbo::cuda {

/// Memory for algorithms to work in; throws OutOfMemory if there is not enough.
using Allocate = std::function<std::shared_ptr<void>(size_t bytes)>;

/// cuDNN on the current GPU; null if it cannot be loaded or started, for `reason`. `search`: where
/// it is looked for, the usual places if null.
std::unique_ptr<ProductLibrary> make_cudnn(Allocate allocate, std::string& reason,
                                           const LibrarySearch* search = nullptr);

}  // namespace elbo::cuda
