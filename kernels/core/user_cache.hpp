// The user's cache directory, for files that can be generated again: decoded pictures, measurements
// of GPUs. It is in kernels/ because kernels and host both use it.
#pragma once

#include <filesystem>

namespace elbo {

/// $XDG_CACHE_HOME/elbo, or ~/.cache/elbo; empty if neither XDG_CACHE_HOME nor HOME is set. The
/// directory may not exist.
std::filesystem::path user_cache_folder();

}  // namespace elbo
