// A fake cuDNN that computes synchronously in host memory and logs its calls.
#include "tests/fake_cudnn.hpp"

#include <cstring>
#include <sstream>

#include "cuda_emulation/simulated_gpu/cudnn_backend.hpp"

namespace elbo::cuda::simulated::cudnn {
namespace {

FakeCudnn state;

}  // namespace

cudnnStatus_t enqueue(const Work& work) {
  std::ostringstream line;
  line << work.name << " #" << work.algorithm << " workspace " << work.workspace_bytes << " stream "
       << work.stream;
  note(line.str());
  if (work.workspace_bytes > 0) std::memset(work.workspace, 0xff, work.workspace_bytes);
  std::vector<const std::byte*> inputs;
  for (const Array& input : work.inputs)
    inputs.push_back(static_cast<const std::byte*>(input.data));
  work.compute(inputs, static_cast<std::byte*>(const_cast<void*>(work.result.data)), 1.0);
  return CUDNN_STATUS_SUCCESS;
}

size_t version() { return state.version; }
bool starts() { return state.starts; }
const char* error_text(cudnnStatus_t) { return "as the test wants it"; }
bool fails(const char*) { return false; }
void count_objects(int change) { state.alive += change; }
void note(const std::string& line) { state.log.push_back(line); }

}  // namespace elbo::cuda::simulated::cudnn

extern "C" elbo::FakeCudnn* fake_cudnn() { return &elbo::cuda::simulated::cudnn::state; }
