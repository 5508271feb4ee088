// What differs between the two stand-ins for cuDNN that share cudnn.cpp: the simulated GPU's, which
// queues its work on device memory, and the tests' (tests/fake_cudnn.cpp), which works on the
// host's memory at once.
#pragma once

#include <cudnn.h>

#include <functional>
#include <string>
#include <vector>

namespace elbo::cuda::simulated::cudnn {

/// An array that a call reads, or its result.
struct Array {
  const void* data = nullptr;
  size_t bytes = 0;
};

/// A convolution in any direction, with an algorithm.
struct Work {
  std::string name;
  int algorithm = 0;
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
  std::vector<Array> inputs;
  Array result;
  bool keeps_result = false;  // it is added to
  /// On the host's memory; the sums are multiplied by `factor`.
  std::function<void(const std::vector<const std::byte*>& inputs, std::byte* result, double factor)>
      compute;
};

cudnnStatus_t enqueue(const Work& work);
size_t version();
/// Whether cudnnCreate succeeds.
bool starts();
const char* error_text(cudnnStatus_t status);
/// Counts a call; true if it is to fail.
bool fails(const char* function);
/// `change` in the number of live handles and descriptions.
void count_objects(int change);
/// A line about what algorithms were asked for.
void note(const std::string& line);

}  // namespace elbo::cuda::simulated::cudnn
