// Small kernels for the tests of the simulated GPU.
#pragma once

#include <cuda_runtime_api.h>

namespace elbo {

/// How a kernel treats the kernels before it under programmatic dependent launch.
enum class Overlap {
  kNone,     // launched without the attribute
  kWaits,    // waits for them, then lets the next one start
  kHasty,    // never waits
  kTooLate,  // waits after it has read
};

/// out[i] = in[i] + 1 for `count` elements.
cudaError_t launch_increment(const float* in, float* out, int count, cudaStream_t stream,
                             Overlap overlap = Overlap::kNone);
/// out[i] = value.
cudaError_t launch_set(float* out, int count, float value, cudaStream_t stream,
                       Overlap overlap = Overlap::kNone);
/// Reads four floats at once.
cudaError_t launch_vector_read(const float* in, float* out, cudaStream_t stream);
/// More threads than its launch bounds allow.
cudaError_t launch_too_wide(float* out, cudaStream_t stream);
/// The host function that stands for the kernel of launch_set.
const void* set_kernel();

}  // namespace elbo
