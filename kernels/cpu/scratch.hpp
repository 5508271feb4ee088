// Memory of the calling thread's that grows at first use and stays, so that nothing is allocated
// while a program runs again.
#pragma once

#include <cstdint>

namespace elbo::cpu {

/// Whose scratch it is; what one has written is gone when the same one asks again.
enum class Scratch { library, kernel, product };

/// At least `count` floats, aligned to 64 bytes.
float* thread_scratch(Scratch whose, int64_t count);

}  // namespace elbo::cpu
