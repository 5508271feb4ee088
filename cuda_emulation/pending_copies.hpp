// Asynchronous copies to shared memory (cp.async) that have started and have not been waited for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace elbo::cuda::emulation {

/// The pending copies of one thread. They run as late as CUDA allows: the wait reads the source and
/// writes the target. Until then the target holds NaN bits.
class PendingCopies {
 public:
  /// Starts a copy of `bytes` bytes: the first `source_bytes` come from `source`, the rest are
  /// zero.
  void start(std::byte* target, const std::byte* source, size_t source_bytes, size_t bytes);
  /// Ends the current group, which contains the copies started since the previous commit.
  void commit() { ++groups_; }
  /// Completes all groups except the latest `pending` ones.
  void wait(uint64_t pending);
  size_t count() const { return copies_.size(); }

 private:
  struct Copy {
    std::byte* target;
    const std::byte* source;
    size_t source_bytes;
    size_t bytes;
    uint64_t group;
  };

  std::vector<Copy> copies_;  // in ascending order of group
  uint64_t groups_ = 0;
};

}  // namespace elbo::cuda::emulation
