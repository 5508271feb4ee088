// The GPU side of a build without CUDA.
#include "kernels/core/error.hpp"
#include "kernels/device.hpp"

namespace elbo {

CudaProbe probe_cuda() noexcept { return {0, "this build has no CUDA"}; }

std::shared_ptr<Device> make_cuda_device(int) {
  throw DeviceError("no GPU can be used: " + probe_cuda().reason);
}

}  // namespace elbo
