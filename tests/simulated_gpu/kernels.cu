#include "tests/simulated_gpu/kernels.hpp"

#include <cuda_runtime.h>

namespace elbo {
namespace {

constexpr int kThreads = 32;

__device__ void wait_for_grids() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
__device__ void trigger() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

__global__ void increment(const float* in, float* out, int count, Overlap overlap) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (overlap == Overlap::kWaits) wait_for_grids();
  if (overlap != Overlap::kNone) trigger();
  const float value = i < count ? in[i] + 1.0f : 0.0f;
  if (overlap == Overlap::kTooLate) wait_for_grids();
  if (i < count) out[i] = value;
}

__global__ void set(float* out, int count, float value, Overlap overlap) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (overlap == Overlap::kWaits) wait_for_grids();
  if (overlap != Overlap::kNone) trigger();
  if (i < count) out[i] = value;
}

__global__ void vector_read(const float* in, float* out) {
  const float4 value = *reinterpret_cast<const float4*>(in);
  *out = value.x + value.y + value.z + value.w;
}

__global__ void __launch_bounds__(kThreads) bounded(float* out) { out[threadIdx.x] = 0.0f; }

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), int threads, cudaStream_t stream, Overlap overlap,
                   Arguments... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>((threads + kThreads - 1) / kThreads));
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = overlap == Overlap::kNone ? 0 : 1;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace

cudaError_t launch_increment(const float* in, float* out, int count, cudaStream_t stream,
                             Overlap overlap) {
  return launch(increment, count, stream, overlap, in, out, count, overlap);
}
cudaError_t launch_set(float* out, int count, float value, cudaStream_t stream, Overlap overlap) {
  return launch(set, count, stream, overlap, out, count, value, overlap);
}
cudaError_t launch_vector_read(const float* in, float* out, cudaStream_t stream) {
  vector_read<<<1, 1, 0, stream>>>(in, out);
  return cudaGetLastError();
}
cudaError_t launch_too_wide(float* out, cudaStream_t stream) {
  bounded<<<1, 2 * kThreads, 0, stream>>>(out);
  return cudaGetLastError();
}
const void* set_kernel() { return reinterpret_cast<const void*>(set); }

}  // namespace elbo
