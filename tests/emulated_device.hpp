// A CUDA device without a GPU: programs run through the CUDA execution of every op, its kernels
// emulated and its matrix products plain loops.
#pragma once

#include <memory>

#include "kernels/device.hpp"
#include "tests/cuda_emulation/launch.hpp"

namespace elbo {

/// Kernels run on `executor`, one after the other, before run() returns.
std::shared_ptr<Device> make_emulated_device(cuda::emulation::Executor executor);

}  // namespace elbo
