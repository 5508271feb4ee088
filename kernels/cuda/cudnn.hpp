// cuDNN as a ProductLibrary: convolutions. Loaded at first use, so that the program starts without
// it; where its headers were missing when this was built, there is none.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/library.hpp"

namespace elbo::cuda {

/// Memory for algorithms to work in; throws DeviceError where there is no room.
using Allocate = std::function<std::shared_ptr<void>(size_t bytes)>;

/// Files to look for the library in, in this order: by the loader's search path, in the toolkit's
/// usual folder, in the Python environment that is active.
std::vector<std::string> cudnn_files();

/// cuDNN on the current GPU; null where it cannot be loaded or started, for `reason`.
std::unique_ptr<ProductLibrary> make_cudnn(Allocate allocate, std::string& reason,
                                           const std::vector<std::string>& files = cudnn_files());

}  // namespace elbo::cuda
