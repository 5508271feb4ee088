// Paths of the build, compiled in one file, so that a compiler cache serves other checkouts.
#pragma once

#include <filesystem>

namespace elbo {

extern const char* const kElboProgram;  // the command

/// This folder, or the one that ELBO_TEST_FOLDER names.
std::filesystem::path test_folder();

}  // namespace elbo
