#include "kernels/cuda/stream_context.hpp"

#include <kernel_revision.hpp>  // made by the build

#include "kernels/core/user_cache.hpp"
#include "kernels/cuda/cublaslt.hpp"
#include "kernels/cuda/cudnn.hpp"
#include "kernels/cuda/handles.hpp"

namespace elbo::cuda {
namespace {

/// Returns the path of the file of measurements with a library; empty if there is no cache.
std::filesystem::path tuning_path(const cudaDeviceProp& properties, const std::string& library) {
  const std::filesystem::path folder = user_cache_folder();
  if (folder.empty()) return {};
  int driver = 0;
  ELBO_CUDA(cudaDriverGetVersion(&driver));
  return folder / tuning_file_name(properties.name, driver, library, kKernelRevision);
}

std::shared_ptr<void> workspace(size_t bytes) {
  auto memory = std::make_shared<DeviceMemory>(bytes, "a convolution's workspace");
  return {memory, memory->get()};
}

}  // namespace

StreamContext::StreamContext(int ordinal)
    : ordinal_(ordinal), stream_((ELBO_CUDA(cudaSetDevice(ordinal)), OwnedStream())) {
  ELBO_CUDA(cudaGetDeviceProperties(&properties_, ordinal));
  const auto path = [this](const std::string& library) {
    return tuning_path(properties_, library);
  };
  sources_ = std::make_unique<std::vector<ProductSource>>();
  sources_->emplace_back("matrix products", is_matrix_product, make_cublaslt, path);
  sources_->emplace_back(
      "convolutions", is_convolution,
      [](std::string& reason) { return make_cudnn(workspace, reason); }, path);
}

StreamContext::~StreamContext() { check_nothrow(cudaSetDevice(ordinal_)); }

void StreamContext::make_current() const { ELBO_CUDA(cudaSetDevice(ordinal_)); }

void StreamContext::synchronize() const {
  // Waits before it throws: queued copies may still use host memory that unwinding frees.
  const cudaError_t selected = cudaSetDevice(ordinal_);
  const cudaError_t waited = cudaStreamSynchronize(stream());
  if (waited != cudaSuccess) check_nothrow(cudaStreamSynchronize(stream()));
  check(selected, "cudaSetDevice");
  check(waited, "cudaStreamSynchronize");
}

}  // namespace elbo::cuda
