// Memory of the current GPU that goes with its owner.
#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include "kernels/cuda/check.hpp"

namespace elbo::cuda {

class DeviceMemory {
 public:
  DeviceMemory() = default;
  /// Throws DeviceError, "the GPU failed to <purpose>: …", where there is no room.
  DeviceMemory(size_t bytes, std::string_view purpose) {
    if (bytes > 0) check(cudaMalloc(&data_, bytes), purpose);
  }
  ~DeviceMemory() { cudaFree(data_); }
  DeviceMemory(DeviceMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  void* get() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace elbo::cuda
