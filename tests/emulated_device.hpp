// A CUDA device without a GPU: runs the CUDA execution of every op with emulated kernels.
#pragma once

#include <memory>

#include "kernels/device.hpp"
#include "cuda_emulation/launch.hpp"

namespace elbo {

/// Selects how the products of dense layers and convolutions are computed: by the project's
/// kernels, or by plain loops that stand in for cuBLASLt and cuDNN.
enum class EmulatedProducts { kernels, library };

/// Returns a device that runs kernels on `executor`, one after the other, before run() returns.
std::shared_ptr<Device> make_emulated_device(cuda::emulation::Executor executor,
                                             EmulatedProducts products = EmulatedProducts::kernels);

}  // namespace elbo
