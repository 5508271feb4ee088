// Where the programs of this user keep what they can make again.
#pragma once

#include <filesystem>

namespace elbo {

/// $XDG_CACHE_HOME/elbo, or ~/.cache/elbo; empty where neither variable tells. It need not exist.
std::filesystem::path user_cache_folder();

}  // namespace elbo
