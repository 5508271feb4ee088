// Checks every access to device memory: bounds, initialization, and order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda_emulation/simulated_gpu/kernels.hpp"
#include "cuda_emulation/simulated_gpu/memory.hpp"
#include "cuda_emulation/simulated_gpu/order.hpp"

namespace elbo::cuda::simulated {

/// How a running piece of work reaches device memory. Reports accesses that are out of bounds (and
/// returns null), read what was never written, or are not ordered with other work's accesses.
class Access : public MemoryWatcher {
 public:
  /// `overlaps`: it may run beside the kernels before it, and is ordered by waiting for them;
  /// `ignores_waits`: as if it did not wait (a planted defect).
  Access(ActorId actor, bool overlaps, bool ignores_waits = false)
      : actor_(actor), overlaps_(overlaps), ignores_waits_(ignores_waits) {}

  std::byte* access(uint64_t address, size_t bytes, Touch touch, bool waited) override;

  // For work that is not a kernel's; they throw std::runtime_error if it is out of bounds.
  const std::byte* read(const void* device, size_t bytes) {
    return checked(device, bytes, Touch::kRead);
  }
  std::byte* write(void* device, size_t bytes) { return checked(device, bytes, Touch::kWrite); }
  std::byte* update(void* device, size_t bytes) { return checked(device, bytes, Touch::kUpdate); }

  /// After a pause, in which memory may have been released.
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
  // The last answer of Order::with.
  ActorSet readers_ = ~ActorSet{0}, readers_with_this_ = 0;
  Phase readers_phase_ = Phase::kBeforeWait;
};

/// Bytes of device memory, from `begin` up to `end`.
struct Range {
  uint64_t begin, end;
};
struct AccessedRanges {
  std::vector<Range> read, written;  // in ascending order, joined
};

/// Records every access from now on, until it is stopped.
void start_recording();
AccessedRanges stop_recording();

}  // namespace elbo::cuda::simulated
