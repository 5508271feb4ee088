// Owning handles of CUDA's resources. Each belongs to the GPU that is current at its construction.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/cuda/check.hpp"

namespace elbo::cuda {

/// A resource that `destroy` releases. Null after a move.
template <class Resource, auto destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(Resource resource) : resource_(resource) {}
  ~Handle() {
    if (resource_ != nullptr) check_nothrow(destroy(resource_));
  }
  Handle(Handle&& other) noexcept : resource_(std::exchange(other.resource_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    Handle(std::move(other)).swap(*this);
    return *this;
  }
  Resource get() const { return resource_; }

 private:
  void swap(Handle& other) noexcept { std::swap(resource_, other.resource_); }

  Resource resource_ = nullptr;
};

using Graph = Handle<cudaGraph_t, cudaGraphDestroy>;
using GraphExecutable = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;

/// Its destructor waits for the work queued on it.
class OwnedStream {
 public:
  explicit OwnedStream(unsigned flags = cudaStreamDefault) {
    cudaStream_t stream = nullptr;
    ELBO_CUDA(cudaStreamCreateWithFlags(&stream, flags));
    stream_ = Handle<cudaStream_t, cudaStreamDestroy>(stream);
  }
  ~OwnedStream() {
    if (get() != nullptr) check_nothrow(cudaStreamSynchronize(get()));
  }
  OwnedStream(OwnedStream&&) noexcept = default;
  OwnedStream& operator=(OwnedStream&&) = delete;

  cudaStream_t get() const { return stream_.get(); }

 private:
  Handle<cudaStream_t, cudaStreamDestroy> stream_;
};

/// A position in the work of a stream.
class Event {
 public:
  /// Measures times unless `flags` has cudaEventDisableTiming.
  explicit Event(unsigned flags = cudaEventDefault) {
    cudaEvent_t event = nullptr;
    ELBO_CUDA(cudaEventCreateWithFlags(&event, flags));
    event_ = Handle<cudaEvent_t, cudaEventDestroy>(event);
  }

  void record(cudaStream_t stream) const { ELBO_CUDA(cudaEventRecord(event_.get(), stream)); }
  /// Work queued on `stream` after this call waits for the last recorded position, if any.
  void hold(cudaStream_t stream) const { ELBO_CUDA(cudaStreamWaitEvent(stream, event_.get(), 0)); }
  /// Blocks the calling thread until the last recorded position is reached.
  void wait() const { ELBO_CUDA(cudaEventSynchronize(event_.get())); }
  /// Waits for this event; both must have been recorded on one stream.
  double microseconds_since(const Event& start) const {
    float milliseconds = 0.0f;
    wait();
    ELBO_CUDA(cudaEventElapsedTime(&milliseconds, start.event_.get(), event_.get()));
    return 1e3 * static_cast<double>(milliseconds);
  }

 private:
  Handle<cudaEvent_t, cudaEventDestroy> event_;
};

inline Event untimed(unsigned flags = cudaEventDefault) {
  return Event(cudaEventDisableTiming | flags);
}

/// Throws OutOfMemory, "cannot allocate 64 bytes of <kind> for <purpose>: …".
inline void check_allocation(cudaError_t status, size_t bytes, const char* kind,
                             std::string_view purpose) {
  if (status == cudaSuccess) return;
  const std::string call = "cannot allocate " + std::to_string(bytes) + " bytes of " + kind +
                           " for " + std::string(purpose);
  if (is_sticky(status)) check(status, call);
  cudaGetLastError();
  throw OutOfMemory(call + ": " + cudaGetErrorString(status));
}

class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(size_t bytes, std::string_view purpose) {
    void* memory = nullptr;
    if (bytes > 0) check_allocation(cudaMalloc(&memory, bytes), bytes, "GPU memory", purpose);
    memory_ = Handle<void*, cudaFree>(memory);
  }
  void* get() const { return memory_.get(); }

 private:
  Handle<void*, cudaFree> memory_;
};

/// Pinned host memory, which the GPU can access.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(size_t bytes, std::string_view purpose) {
    void* memory = nullptr;
    if (bytes > 0)
      check_allocation(cudaMallocHost(&memory, bytes), bytes, "pinned memory", purpose);
    memory_ = Handle<void*, cudaFreeHost>(memory);
  }
  std::byte* get() const { return static_cast<std::byte*>(memory_.get()); }

 private:
  Handle<void*, cudaFreeHost> memory_;
};

}  // namespace elbo::cuda
