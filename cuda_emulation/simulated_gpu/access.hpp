// Checks every access to device memory: bounds, initialization, and order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda_emulation/simulated_gpu/kernels.hpp"
#include "cuda_emulation/simulated_gpu/memory.hpp"
#include "cuda_emulation/simulated_gpu/order.hpp"

namespace elbo::cuda::simulated {

/// Access of a running piece of work to device memory. Reports accesses that are out of bounds (and
/// returns null), that read uninitialized memory, or that are not ordered with accesses of other
/// work.
class Access : public MemoryWatcher {
 public:
  /// `overlaps`: the work may run concurrently with its predecessors until it waits for them.
  /// `ignores_waits`: the work is treated as if it never waited (a planted defect).
  Access(ActorId actor, bool overlaps, bool ignores_waits = false)
      : actor_(actor), overlaps_(overlaps), ignores_waits_(ignores_waits) {}

  std::byte* access(uint64_t address, size_t bytes, Touch touch, bool waited) override;

  // For work that is not an interpreted kernel. They throw std::runtime_error if the access is out
  // of bounds.
  const std::byte* read(const void* device, size_t bytes) {
    return checked(device, bytes, Touch::kRead);
  }
  std::byte* write(void* device, size_t bytes) { return checked(device, bytes, Touch::kWrite); }
  std::byte* update(void* device, size_t bytes) { return checked(device, bytes, Touch::kUpdate); }

  /// Call this after a pause: memory may have been released, so the cached allocation is dropped.
  void resume() { last_ = nullptr; }

 private:
  std::byte* checked(const void* device, size_t bytes, Touch touch);
  void check_initialized(const Allocation& allocation, size_t offset, size_t bytes) const;
  void check_order(Allocation& allocation, size_t first, size_t last, Touch touch, Phase phase);
  void report_race(const Allocation& allocation, ActorId earlier, const char* earlier_access,
                   const char* access, Phase phase) const;

  ActorId actor_;
  bool overlaps_, ignores_waits_;
  Allocation* last_ = nullptr;
  // Cache of the last result of Order::with.
  ActorSet readers_ = ~ActorSet{0}, readers_with_this_ = 0;
  Phase readers_phase_ = Phase::kBeforeWait;
};

/// Bytes of device memory, from `begin` up to `end`.
struct Range {
  uint64_t begin, end;
};
struct AccessedRanges {
  std::vector<Range> read, written;  // in ascending order; adjacent ranges are joined
};

/// Record every access from start_recording until stop_recording, which returns the ranges.
void start_recording();
AccessedRanges stop_recording();

}  // namespace elbo::cuda::simulated
