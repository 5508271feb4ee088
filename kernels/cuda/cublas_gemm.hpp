// The GPU's matrix product: cuBLAS, loaded at first use, so that the program starts without it.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "kernels/cuda/gemm.hpp"

namespace elbo::cuda {

/// Loads the library. Throws DeviceError where it is missing or too old.
void load_cublas();

/// cuBLAS on `stream` of the current GPU, in strict float: no TF32, no emulation. Throws
/// DeviceError where cuBLAS cannot be loaded or started.
std::unique_ptr<Gemm> make_cublas_gemm(cudaStream_t stream);

}  // namespace elbo::cuda
