#include "kernels/core/user_cache.hpp"

#include <cstdlib>

namespace elbo {

std::filesystem::path user_cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  if (const auto cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache / "elbo";
  if (const auto home = variable("HOME"); !home.empty()) return home / ".cache" / "elbo";
  return {};
}

}  // namespace elbo
