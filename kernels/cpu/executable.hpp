// What runs programs on the CPU.
#pragma once

#include <memory>

#include "kernels/device.hpp"

namespace elbo::cpu {

/// On `threads` threads: the calling one and others of OpenMP's.
std::unique_ptr<Executable> make_executable(const Program& program, int threads);

}  // namespace elbo::cpu
