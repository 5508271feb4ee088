// Where the programs of this user keep what can be made again: decoded pictures, measurements of
// GPUs. Beside the kernels, because both they and the host keep files there.
#pragma once

#include <filesystem>

namespace elbo {

/// $XDG_CACHE_HOME/elbo, or ~/.cache/elbo; empty if neither XDG_CACHE_HOME nor HOME is set. It need
/// not exist.
std::filesystem::path user_cache_folder();

}  // namespace elbo
