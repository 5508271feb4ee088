#include "tests/paths.hpp"

namespace elbo {

const char* const kElboProgram = ELBO_PROGRAM;

std::filesystem::path test_folder() {
  // An absolute ELBO_TEST_FOLDER replaces the program's folder.
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / ELBO_TEST_FOLDER;
}

}  // namespace elbo
