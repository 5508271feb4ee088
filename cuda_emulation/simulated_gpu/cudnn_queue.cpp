// The backend of the cuDNN stand-in that queues the work on the simulated GPU.
#include <cstring>

#include "cuda_emulation/simulated_gpu/cudnn_backend.hpp"
#include "cuda_emulation/simulated_gpu/library.hpp"
#include "cuda_emulation/simulated_gpu/library_objects.hpp"
#include "cuda_emulation/simulated_gpu/options.hpp"

namespace elbo::cuda::simulated::cudnn {

cudnnStatus_t enqueue(const Work& work) {
  const auto body = [work, factor = 1.0 + Options::get().noise](Access& access) {
    if (work.workspace_bytes > 0)
      std::memset(access.write(work.workspace, work.workspace_bytes), 0xff, work.workspace_bytes);
    std::vector<const std::byte*> inputs;
    for (const Array& input : work.inputs) inputs.push_back(access.read(input.data, input.bytes));
    void* result = const_cast<void*>(work.result.data);
    const size_t bytes = work.result.bytes;
    work.compute(inputs,
                 work.keeps_result ? access.update(result, bytes) : access.write(result, bytes),
                 factor);
  };
  const double cost = (4.0 - work.algorithm) / Options::get().library_speed;
  const std::string name = "cuDNN " + work.name + " #" + std::to_string(work.algorithm);
  return enqueue_library_work(work.stream, name, cost, body) == cudaSuccess
             ? CUDNN_STATUS_SUCCESS
             : CUDNN_STATUS_EXECUTION_FAILED;
}

size_t version() { return 91900; }
bool starts() { return !is_refused("cuDNN"); }
const char* error_text(cudnnStatus_t status) {
  return status == CUDNN_STATUS_NOT_INITIALIZED    ? "CUDNN_STATUS_NOT_INITIALIZED"
         : status == CUDNN_STATUS_BAD_PARAM        ? "CUDNN_STATUS_BAD_PARAM"
         : status == CUDNN_STATUS_NOT_SUPPORTED    ? "CUDNN_STATUS_NOT_SUPPORTED"
         : status == CUDNN_STATUS_EXECUTION_FAILED ? "CUDNN_STATUS_EXECUTION_FAILED"
                                                   : "CUDNN_STATUS_INTERNAL_ERROR";
}
bool fails(const char* function) { return simulated::fails(function); }
void count_objects(int change) {
  static LiveObjects live("cuDNN");
  live.change(change);
}
void note(const std::string&) {}

}  // namespace elbo::cuda::simulated::cudnn
