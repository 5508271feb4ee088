// Memory of the calling thread that grows on first use and stays, so that later runs of a program
// allocate nothing.
#pragma once

#include <cstdint>

namespace elbo::cpu {

/// The user of the scratch; its content is lost when the same user requests it again.
enum class Scratch { library, kernel, product };

/// At least `count` floats, aligned to 64 bytes.
float* thread_scratch(Scratch whose, int64_t count);

}  // namespace elbo::cpu
