#include "tests/paths.hpp"

namespace elbo {

const char* const kTestSourceDir = ELBO_TEST_SOURCE_DIR;
const char* const kElboProgram = ELBO_PROGRAM;

}  // namespace elbo
