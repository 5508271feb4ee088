#include "kernels/cuda/stream_context.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/cublaslt.hpp"

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

/// One file per GPU, driver and library: others would choose otherwise.
std::filesystem::path tuning_path(const cudaDeviceProp& properties, const std::string& library) {
  const std::filesystem::path folder = cache_folder();
  if (folder.empty()) return {};
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "tell its driver's version");
  std::string name =
      std::string(properties.name) + " driver " + std::to_string(driver) + ' ' + library + ".txt";
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.';
  };
  std::ranges::replace_if(name, std::not_fn(is_plain), '-');
  return folder / name;
}

}  // namespace

StreamContext::StreamContext(int ordinal) : ordinal_(ordinal) {
  make_current();
  check(cudaGetDeviceProperties(&properties_, ordinal), "describe itself");
  // Ordered with the default stream too, where cuRAND works.
  check(cudaStreamCreate(&stream_), "create a stream");
  library_ = make_cublaslt(library_defect_);
  tuning_ = std::make_unique<TuningFile>(library_ ? tuning_path(properties_, library_->version())
                                                  : std::filesystem::path());
}

StreamContext::~StreamContext() {
  cudaSetDevice(ordinal_);
  library_.reset();
  cudaStreamDestroy(stream_);
}

void StreamContext::make_current() const { check(cudaSetDevice(ordinal_), "be selected"); }

void StreamContext::synchronize() const {
  make_current();
  check(cudaStreamSynchronize(stream_), "finish its work");
}

}  // namespace elbo::cuda
