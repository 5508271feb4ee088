// Common parts of the runtime's functions.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <mutex>
#include <string>

#include "cuda_emulation/simulated_gpu/gpu.hpp"

namespace elbo::cuda::simulated {

extern thread_local cudaError_t last_error;

/// One call of the runtime. It holds the GPU's lock.
class Call {
 public:
  explicit Call(const char* name) : name_(name), lock_(Gpu::get().mutex) {}

  const char* name() const { return name_; }

  /// Ends the call with `error`.
  [[noreturn]] void refuse(cudaError_t error) const { throw Refusal{error}; }
  /// Ends a call that no correct program makes: reports a defect and returns `error`.
  [[noreturn]] void misuse(cudaError_t error, const std::string& why) const;

  // These end the call with an error if the handle does not exist.
  CUstream_st& stream(cudaStream_t handle) const;
  CUevent_st& event(cudaEvent_t handle) const;

  /// Queues the operation. If the stream is captured, adds the operation to the graph instead.
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
  kUnsafeInCapture = 1,  // forbidden during a capture, unless its mode is relaxed
  kReleases = 2,         // runs its body even if the call must return an error
};

/// Executes a call of the runtime and returns its status. `body` returns normally or calls
/// `refuse`. It does not run if a lasting error is set or the option `fail` applies (but see
/// kReleases).
cudaError_t call(const char* name, unsigned kind, const std::function<void(Call&)>& body);

/// Registers, once, an exit handler that reports every resource that was never released.
void report_leaks_at_exit();

// Numbers of live graphs, which no list contains.
struct LiveGraphs {
  size_t graphs = 0, executables = 0;
};
LiveGraphs& live_graphs();

}  // namespace elbo::cuda::simulated
