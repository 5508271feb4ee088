// Paths that the build knows, compiled in one file: a compiler cache then serves other checkouts.
#pragma once

namespace elbo {

extern const char* const kTestSourceDir;  // this folder
extern const char* const kElboProgram;    // the command

}  // namespace elbo
