// New directories for the output of commands. Existing content is never overwritten.
#pragma once

#include <filesystem>

namespace elbo {

/// Creates `directory` if it is missing. Throws ConfigError if it is a directory that is not empty,
/// and DataError if the system refuses, as it does if `directory` is a file.
void make_new_directory(const std::filesystem::path& directory);

}  // namespace elbo
