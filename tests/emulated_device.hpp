// A CUDA device without a GPU: programs run through the CUDA execution of every op, its kernels
// emulated.
#pragma once

#include <memory>

#include "kernels/device.hpp"
#include "cuda_emulation/launch.hpp"

namespace elbo {

/// What computes dense ops: the kernels, or plain loops in the place of cuBLASLt.
enum class EmulatedProducts { kernels, library };

/// Kernels run on `executor`, one after the other, before run() returns.
std::shared_ptr<Device> make_emulated_device(cuda::emulation::Executor executor,
                                             EmulatedProducts products = EmulatedProducts::kernels);

}  // namespace elbo
