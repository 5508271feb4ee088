// Directories that a command fills: never over what is there.
#pragma once

#include <filesystem>

namespace elbo {

/// Makes `directory` where it is missing. Throws ConfigError where it exists and is not an empty
/// directory, and DataError where the system refuses.
void make_new_directory(const std::filesystem::path& directory);

}  // namespace elbo
