// A copy of device memory, to restore or to compare with later.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/access.hpp"
#include "kernels/cuda/handles.hpp"

namespace elbo::cuda {

/// All work is queued on one stream.
class Snapshot {
 public:
  /// Copies the ranges, which start at multiples of 4 bytes. Throws OutOfMemory if GPU memory is
  /// exhausted.
  Snapshot(const std::vector<Access>& ranges, cudaStream_t stream);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  /// Copies the current content of the ranges.
  void take() const;
  void restore() const;
  /// Returns the number of 32-bit words in which the ranges differ from the copy. Waits for the
  /// stream.
  uint64_t differing_words() const;

 private:
  struct Copy {
    void* original;
    size_t bytes;
    DeviceMemory memory;
  };

  cudaStream_t stream_;
  std::vector<Copy> copies_;
  DeviceMemory count_;
};

}  // namespace elbo::cuda
