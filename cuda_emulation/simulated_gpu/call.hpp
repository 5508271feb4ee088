// What the runtime's functions have in common.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <mutex>
#include <string>

#include "cuda_emulation/simulated_gpu/gpu.hpp"

namespace elbo::cuda::simulated {

extern thread_local cudaError_t last_error;

/// One call of the runtime, under the GPU's lock.
class Call {
 public:
  explicit Call(const char* name) : name_(name), lock_(Gpu::get().mutex) {}

  const char* name() const { return name_; }

  /// Ends the call with an error.
  [[noreturn]] void refuse(cudaError_t error) const { throw Refusal{error}; }
  /// Ends a call that no right program makes: reports it as a defect.
  [[noreturn]] void misuse(cudaError_t error, const std::string& why) const;

  // They refuse handles that do not exist.
  CUstream_st& stream(cudaStream_t handle) const;
  CUevent_st& event(cudaEvent_t handle) const;

  /// Queues the operation, or adds it to the graph that the stream is captured to.
  void submit(CUstream_st& stream, Operation operation) const;
  void wait_for(const EntryPointer& entry);
  void wait_for_all();

  struct Refusal {
    cudaError_t error;
  };

 private:
  const char* name_;
  std::unique_lock<std::recursive_mutex> lock_;
};

enum CallKind : unsigned {
  kOrdinary = 0,
  kUnsafeInCapture = 1,  // a capture under way that is not relaxed forbids it
  kReleases = 2,         // does its work even if it is to return an error
};

/// Makes a call: `body` returns or refuses. Lasting errors and the option `fail` come before it.
cudaError_t call(const char* name, unsigned kind, const std::function<void(Call&)>& body);

/// Has everything reported at the process's end that was never released. Once.
void report_leaks_at_exit();

// Numbers of live objects that nothing else counts.
struct LiveGraphs {
  size_t graphs = 0, executables = 0;
};
LiveGraphs& live_graphs();

}  // namespace elbo::cuda::simulated
