#include "host/io/new_directory.hpp"

#include <system_error>

#include "host/io/file_error.hpp"
#include "kernels/core/error.hpp"

namespace elbo {

void make_new_directory(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail_system(directory, "make the directory", error.value());
  const bool empty = fs::is_empty(directory, error);
  if (error) fail_system(directory, "list", error.value());
  if (!empty)
    throw ConfigError(directory.string() + ": exists and is not empty; expected a new directory");
}

}  // namespace elbo
