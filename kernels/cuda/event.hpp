// A CUDA event that times.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/check.hpp"

namespace elbo::cuda {

class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "create an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t stream) const {
    check(cudaEventRecord(event_, stream), "record an event");
  }
  /// Waits for this event; both must have been recorded on one stream.
  double microseconds_since(const Event& start) const {
    float milliseconds = 0.0f;
    check(cudaEventSynchronize(event_), "finish its work");
    check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "tell the time");
    return 1e3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace elbo::cuda
