// The interface of the simulated GPU to the stand-ins for NVIDIA's libraries.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <string>

#include "cuda_emulation/simulated_gpu/access.hpp"

namespace elbo::cuda::simulated {

/// Queues work of a library, or captures it as one kernel. `body` accesses device memory through
/// its argument. `cost` is in microseconds.
cudaError_t enqueue_library_work(cudaStream_t stream, std::string name, double cost,
                                 std::function<void(Access&)> body);

/// Counts a call of a library's function; returns true if the option `fail` makes it fail.
bool fails(const char* function);

/// Returns true if the option `refuse` contains `name` or is ALL.
bool is_refused(const std::string& name);

}  // namespace elbo::cuda::simulated
