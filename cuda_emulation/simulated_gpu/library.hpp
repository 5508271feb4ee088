// What stand-ins for NVIDIA's libraries ask of the simulated GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <string>

#include "cuda_emulation/simulated_gpu/access.hpp"

namespace elbo::cuda::simulated {

/// Queues (or captures, as one kernel) work of a library; `body` reaches memory through the access
/// that it is given. `cost` in microseconds.
cudaError_t enqueue_library_work(cudaStream_t stream, std::string name, double cost,
                                 std::function<void(Access&)> body);

/// Counts a call of a library's function; true if the option `fail` wants it to fail.
bool fails(const char* function);

/// True if the option `refuse` names this, or ALL.
bool is_refused(const std::string& name);

}  // namespace elbo::cuda::simulated
