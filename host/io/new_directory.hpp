// New directories for the output of commands. Existing content is never overwritten.
#pragma once

#include <filesystem>

namespace elbo {

/// Creates `directory` if it is missing. Throws ConfigError if it exists and is not an empty
/// directory, and DataError if the system refuses.
void make_new_directory(const std::filesystem::path& directory);

}  // namespace elbo
