#include "kernels/cuda/stream_context.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/cublaslt.hpp"
#include "kernels/cuda/cudnn.hpp"
#include "kernels/cuda/handles.hpp"

namespace elbo::cuda {
namespace {

/// The user's cache; empty where there is none.
std::filesystem::path cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value == nullptr ? "" : value);
  };
  if (const auto cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache / "elbo";
  if (const auto home = variable("HOME"); !home.empty()) return home / ".cache" / "elbo";
  return {};
}

/// One file per GPU, driver and libraries: others would choose otherwise.
std::filesystem::path tuning_path(const cudaDeviceProp& properties, const std::string& libraries) {
  const std::filesystem::path folder = cache_folder();
  if (folder.empty()) return {};
  int driver = 0;
  ELBO_CUDA(cudaDriverGetVersion(&driver));
  std::string name =
      std::string(properties.name) + " driver " + std::to_string(driver) + ' ' + libraries + ".txt";
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.';
  };
  std::ranges::replace_if(name, std::not_fn(is_plain), '-');
  return folder / name;
}

}  // namespace

StreamContext::StreamContext(int ordinal)
    : ordinal_(ordinal), stream_((ELBO_CUDA(cudaSetDevice(ordinal)), OwnedStream())) {
  ELBO_CUDA(cudaGetDeviceProperties(&properties_, ordinal));
  find_libraries();
  tuning_ = std::make_unique<TuningFile>(libraries_->empty()
                                             ? std::filesystem::path()
                                             : tuning_path(properties_, libraries_->version()));
}

void StreamContext::find_libraries() {
  const auto add = [&](std::unique_ptr<ProductLibrary> library, MissingLibrary otherwise) {
    if (library != nullptr)
      libraries_->add(std::move(library));
    else
      missing_.push_back(std::move(otherwise));
  };
  std::string reason;
  auto cublaslt = make_cublaslt(reason);
  add(std::move(cublaslt), {"matrix products", is_matrix_product, reason});
  const auto allocate = [](size_t bytes) -> std::shared_ptr<void> {
    auto memory = std::make_shared<DeviceMemory>(bytes, "a convolution's workspace");
    return {memory, memory->get()};
  };
  auto cudnn = make_cudnn(allocate, reason);
  add(std::move(cudnn), {"convolutions", is_convolution, reason});
}

StreamContext::~StreamContext() { check_nothrow(cudaSetDevice(ordinal_)); }

void StreamContext::make_current() const { ELBO_CUDA(cudaSetDevice(ordinal_)); }

void StreamContext::synchronize() const {
  make_current();
  ELBO_CUDA(cudaStreamSynchronize(stream()));
}

}  // namespace elbo::cuda
