// Device memory, at addresses that the host cannot touch, and the host's pinned memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cuda_emulation/simulated_gpu/order.hpp"

namespace elbo::cuda::simulated {

/// Bytes for which accesses are recorded together. Work that writes different bytes of one granule
/// is taken for a race.
inline constexpr size_t kGranule = 4;

struct Allocation {
  uint64_t address = 0;
  size_t bytes = 0;
  uint32_t number = 0;
  // For each granule; empty without the race check:
  std::vector<ActorId> writer;
  std::vector<ActorSet> readers;     // since it was written
  std::vector<uint8_t> initialized;  // a bit for each byte
};

class Memory {
 public:
  static Memory& get();

  /// Fresh memory holds NaN, at an address that is never used again; 0 if there is no room.
  uint64_t allocate(size_t bytes);
  /// False if no live allocation starts there.
  bool release(uint64_t address);
  /// All device memory and pinned memory.
  void release_all();
  bool is_device(const void* pointer) const;
  /// The live allocation that contains the bytes, or null.
  Allocation* find(uint64_t address, size_t bytes);
  /// Where the simulation keeps the bytes at a device's address.
  std::byte* view(uint64_t address) const {
    return reinterpret_cast<std::byte*>(address + offset_);
  }
  /// "16 bytes at 64 of allocation 3 (1024 bytes)", also for freed memory and behind an allocation.
  std::string describe(const void* pointer, size_t bytes) const;
  size_t used() const { return used_; }
  const std::map<uint64_t, Allocation>& live() const { return live_; }

  /// Pinned memory between two pages that fault; null if there is none to be had.
  void* pin(size_t bytes);
  /// False if it is not the start of pinned memory. Later accesses fault.
  bool unpin(void* memory);
  bool is_pinned(const void* memory, size_t bytes) const;
  /// Number of bytes that were asked for; 0 if it is not the start of pinned memory.
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
