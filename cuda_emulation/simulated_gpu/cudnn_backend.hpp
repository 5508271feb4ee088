// The interface between cudnn.cpp and its two backends: the simulated GPU (cudnn_queue.cpp), which
// queues the work on device memory, and the unit tests (tests/fake_cudnn.cpp), which run it
// immediately on host memory.
#pragma once

#include <cudnn.h>

#include <functional>
#include <string>
#include <vector>

namespace elbo::cuda::simulated::cudnn {

/// An input array or the result of a call.
struct Array {
  const void* data = nullptr;
  size_t bytes = 0;
};

/// A forward or backward convolution with its algorithm.
struct Work {
  std::string name;
  int algorithm = 0;
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
  std::vector<Array> inputs;
  Array result;
  bool keeps_result = false;  // the old value of the result is added (beta is not 0)
  /// Computes the result in host memory and multiplies the sums by `factor`.
  std::function<void(const std::vector<const std::byte*>& inputs, std::byte* result, double factor)>
      compute;
};

cudnnStatus_t enqueue(const Work& work);
size_t version();
/// Returns true if cudnnCreate succeeds.
bool starts();
const char* error_text(cudnnStatus_t status);
/// Counts a call; returns true if the call must fail.
bool fails(const char* function);
/// Adds `change` to the number of live handles and descriptors.
void count_objects(int change);
/// Records a line that describes a request for algorithms.
void note(const std::string& line);

}  // namespace elbo::cuda::simulated::cudnn
