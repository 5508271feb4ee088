// Replaces gpu_machine.cpp in a build without CUDA.
#include "bench/machine.hpp"
#include "kernels/core/error.hpp"

namespace elbo::bench {

std::unique_ptr<Machine> make_gpu_machine(std::shared_ptr<Device>) {
  throw DeviceError("no GPU can be used: this build has no CUDA");
}

std::string gpu_product_library() { return ""; }

}  // namespace elbo::bench
