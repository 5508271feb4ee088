// Device memory, at addresses that the host cannot access, and the host's pinned memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cuda_emulation/simulated_gpu/order.hpp"

namespace elbo::cuda::simulated {

/// The granularity in bytes at which accesses are recorded. Unordered work that writes different
/// bytes of one granule is reported as a race.
inline constexpr size_t kGranule = 4;

struct Allocation {
  uint64_t address = 0;
  size_t bytes = 0;
  uint32_t number = 0;
  // One element per granule; empty if the race check is off:
  std::vector<ActorId> writer;
  std::vector<ActorSet> readers;     // since the last write
  std::vector<uint8_t> initialized;  // one bit per byte
};

class Memory {
 public:
  static Memory& get();

  /// Returns the address of new memory filled with NaN, or 0 if there is not enough. Addresses are
  /// never reused.
  uint64_t allocate(size_t bytes);
  /// Releases an allocation. Returns false if no live allocation starts at the address.
  bool release(uint64_t address);
  /// Releases all device memory and pinned memory.
  void release_all();
  bool is_device(const void* pointer) const;
  /// Returns the live allocation that contains the bytes, or null.
  Allocation* find(uint64_t address, size_t bytes);
  /// Returns the host memory that stores the bytes at a device address.
  std::byte* view(uint64_t address) const {
    return reinterpret_cast<std::byte*>(address + offset_);
  }
  /// Returns "16 bytes at 64 of allocation 3 (1024 bytes)", also for freed memory and for addresses
  /// past the end of an allocation.
  std::string describe(const void* pointer, size_t bytes) const;
  size_t used() const { return used_; }
  const std::map<uint64_t, Allocation>& live() const { return live_; }

  /// Allocates pinned memory between two guard pages; returns null on failure.
  void* pin(size_t bytes);
  /// Releases pinned memory; later accesses fault. Returns false if no pinned memory starts there.
  bool unpin(void* memory);
  bool is_pinned(const void* memory, size_t bytes) const;
  /// Returns the requested size in bytes, or 0 if no pinned memory starts there.
  size_t pinned_bytes(const void* memory) const;
  size_t pinned_count() const { return pinned_.size(); }

 private:
  struct Freed {
    size_t bytes;
    uint32_t number;
  };
  struct Pinned {
    size_t bytes, mapped;
  };

  Memory();

  uint64_t begin_ = 0, end_ = 0, next_ = 0, offset_ = 0;
  size_t used_ = 0;
  uint32_t count_ = 0;
  std::map<uint64_t, Allocation> live_;
  std::map<uint64_t, Freed> freed_;
  std::map<uint64_t, Pinned> pinned_;
};

}  // namespace elbo::cuda::simulated
