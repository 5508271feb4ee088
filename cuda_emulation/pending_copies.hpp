// Asynchronous copies to shared memory (cp.async) between their start and the wait that covers
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace elbo::cuda::emulation {

/// The copies of one thread. As late as CUDA allows: the source is read, and the target written, by
/// the wait; until then the target holds NaN bits.
class PendingCopies {
 public:
  /// `source_bytes` of the `bytes` come from `source`, the others are zero.
  void start(std::byte* target, const std::byte* source, size_t source_bytes, size_t bytes);
  /// Ends a group: the copies started since the last one.
  void commit() { ++groups_; }
  /// Completes all groups but the latest `pending`.
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

  std::vector<Copy> copies_;  // by group
  uint64_t groups_ = 0;
};

}  // namespace elbo::cuda::emulation
