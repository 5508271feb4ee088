// Runs programs on the CPU.
#pragma once

#include <memory>

#include "kernels/device.hpp"

namespace elbo::cpu {

/// Uses `threads` threads: the caller and threads of OpenMP.
std::unique_ptr<Executable> make_executable(const Program& program, int threads);

}  // namespace elbo::cpu
