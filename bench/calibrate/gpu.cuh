// Shared by the parts: error checks, owners of CUDA objects, launches, graphs and time measurement.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/calibrate/report.hpp"
#include "kernels/core/error.hpp"

namespace elbo::calibrate {

/// Throws DeviceError, "the GPU failed to ACTION: …", unless `status` is success.
void check(cudaError_t status, std::string_view action);

template <auto kDestroy>
struct Destroy {
  template <class Handle>
  void operator()(Handle* handle) const {
    kDestroy(handle);
  }
};
using Stream = std::unique_ptr<CUstream_st, Destroy<cudaStreamDestroy>>;
using Event = std::unique_ptr<CUevent_st, Destroy<cudaEventDestroy>>;
using Graph = std::unique_ptr<CUgraph_st, Destroy<cudaGraphDestroy>>;
using GraphExec = std::unique_ptr<CUgraphExec_st, Destroy<cudaGraphExecDestroy>>;

/// Creates a stream that is ordered with the default stream, which synchronous copies use.
Stream make_stream();
Event make_event(unsigned flags = cudaEventDefault);
/// Returns a graph that is ready to launch: instantiated, and uploaded on `stream`.
GraphExec instantiate(cudaGraph_t graph, cudaStream_t stream);
/// Captures the work that `enqueue` puts on the stream as a graph that is ready to launch.
GraphExec capture(cudaStream_t stream, const std::function<void()>& enqueue);

/// Uninitialised GPU memory.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t size) : size_(size) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, size * sizeof(T)),
          "allocate " + std::to_string(size * sizeof(T)) + " bytes");
    data_.reset(static_cast<T*>(memory));
  }
  T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }

 private:
  size_t size_;
  std::unique_ptr<T, Destroy<cudaFree>> data_;
};

struct LaunchShape {
  unsigned blocks = 1;
  unsigned threads = 32;
  bool dependent = false;    // may start before the previous kernel on the stream has ended
  bool cooperative = false;  // the launch fails if not all blocks fit on the GPU at once
  size_t shared_bytes = 0;   // dynamic shared memory of a block
};

/// Starts `kernel` on `stream`.
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, const LaunchShape& shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  cudaLaunchAttribute attributes[2] = {};
  unsigned count = 0;
  if (shape.dependent) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cooperative) {
    attributes[count].id = cudaLaunchAttributeCooperative;
    attributes[count++].val.cooperative = 1;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(shape.blocks);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...),
        "launch a kernel");
}

inline constexpr int kRepetitions = 31;

/// The first GPU, with a stream to measure on.
class Gpu {
 public:
  /// Throws DeviceError if there is no GPU, or none that this program has code for.
  Gpu();

  cudaStream_t stream() const { return stream_.get(); }
  unsigned multiprocessors() const {
    return static_cast<unsigned>(properties_.multiProcessorCount);
  }
  size_t l2_bytes() const { return static_cast<size_t>(properties_.l2CacheSize); }
  bool has_dependent_launch() const { return properties_.major >= 9; }
  size_t free_bytes() const;
  void synchronize() const;
  /// Returns false after an error that makes the GPU unusable for this process, such as an illegal
  /// address.
  bool usable() const noexcept;

  /// Returns the GPU time of each of `repetitions` runs of `enqueue`, after one warm-up run.
  /// `enqueue` puts work on stream() and does not wait for it. The runs are queued behind a kernel
  /// that waits, so that the host's time to enqueue them does not count. If enqueuing takes longer
  /// even than a wait of 50 ms, `waited_for_host` is set.
  Samples time(int repetitions, const std::function<void()>& enqueue) const;
  /// Returns the host time of each call of `enqueue`. The GPU is idle before the call.
  Samples host_time(int repetitions, const std::function<void()>& enqueue) const;

  /// Returns name, memory, clock rates (the multiprocessors' also measured) and versions.
  Json describe() const;

 private:
  cudaDeviceProp properties_;
  Stream stream_;
};

}  // namespace elbo::calibrate
