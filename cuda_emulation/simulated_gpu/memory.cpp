#include "cuda_emulation/simulated_gpu/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda_emulation/simulated_gpu/options.hpp"

namespace elbo::cuda::simulated {
namespace {

constexpr uint64_t kReserved = uint64_t{1} << 40;
constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 256;  // the alignment that cudaMalloc guarantees
constexpr int kUnwritten = 0xff;    // NaN as a float

uint64_t number(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

uint64_t reserve(int protection) {
  void* memory =
      mmap(nullptr, kReserved, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("simulated GPU: cannot reserve addresses");
    std::abort();
  }
  return number(memory);
}

}  // namespace

Memory& Memory::get() {
  static auto* memory = new Memory;
  return *memory;
}

// Device addresses are reserved without access rights, so the host faults immediately if it
// dereferences a device pointer. The bytes are stored in a second mapping.
Memory::Memory() {
  begin_ = next_ = reserve(PROT_NONE);
  end_ = begin_ + kReserved;
  offset_ = reserve(PROT_READ | PROT_WRITE) - begin_;
}

uint64_t Memory::allocate(size_t bytes) {
  if (bytes > Options::get().memory - used_ || next_ + bytes + 4 * kPage > end_) return 0;
  Allocation allocation;
  allocation.address = next_ + kAlignment;
  allocation.bytes = bytes;
  allocation.number = ++count_;
  next_ = round_up(next_ + kAlignment + bytes + kPage, kPage);
  used_ += bytes;
  std::memset(view(allocation.address), kUnwritten, bytes);
  if (Options::get().races) {
    const size_t granules = (bytes + kGranule - 1) / kGranule;
    allocation.writer.resize(granules);
    allocation.readers.resize(granules);
    allocation.initialized.resize(granules);
  }
  const uint64_t address = allocation.address;
  live_.emplace(address, std::move(allocation));
  return address;
}

bool Memory::release(uint64_t address) {
  const auto found = live_.find(address);
  if (found == live_.end()) return false;
  const size_t bytes = found->second.bytes;
  used_ -= bytes;
  freed_[address] = {bytes, found->second.number};
  const uint64_t first = round_up(address, kPage), last = (address + bytes) / kPage * kPage;
  if (last > first) madvise(view(first), last - first, MADV_DONTNEED);
  live_.erase(found);
  return true;
}

void Memory::release_all() {
  while (!live_.empty()) release(live_.begin()->first);
  while (!pinned_.empty()) unpin(reinterpret_cast<void*>(pinned_.begin()->first));
}

bool Memory::is_device(const void* pointer) const {
  return number(pointer) >= begin_ && number(pointer) < end_;
}

Allocation* Memory::find(uint64_t address, size_t bytes) {
  const auto next = live_.upper_bound(address);
  if (next == live_.begin()) return nullptr;
  Allocation& allocation = std::prev(next)->second;
  return address - allocation.address + bytes <= allocation.bytes ? &allocation : nullptr;
}

std::string Memory::describe(const void* pointer, size_t bytes) const {
  const std::string start = std::to_string(bytes) + " bytes at ";
  if (!is_device(pointer)) return start + "an address of the host";
  const uint64_t address = number(pointer);
  const auto text = [&](uint64_t begin, size_t size, uint32_t which, const char* kind) {
    return start + std::to_string(address - begin) + " of " + kind + "allocation " +
           std::to_string(which) + " (" + std::to_string(size) + " bytes)";
  };
  const auto live = live_.upper_bound(address);
  const auto freed = freed_.upper_bound(address);
  const uint64_t last_live = live == live_.begin() ? 0 : std::prev(live)->first;
  const uint64_t last_freed = freed == freed_.begin() ? 0 : std::prev(freed)->first;
  if (last_live == last_freed) return start + "no allocation";
  if (last_live > last_freed) {
    const Allocation& allocation = std::prev(live)->second;
    return text(last_live, allocation.bytes, allocation.number, "");
  }
  const Freed& memory = std::prev(freed)->second;
  return text(last_freed, memory.bytes, memory.number, "freed ");
}

void* Memory::pin(size_t bytes) {
  const size_t size = round_up(std::max<size_t>(bytes, 1), kPage) + 2 * kPage;
  void* memory = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* start = static_cast<std::byte*>(memory) + kPage;
  mprotect(start, size - 2 * kPage, PROT_READ | PROT_WRITE);
  std::memset(start, kUnwritten, size - 2 * kPage);
  pinned_[number(start)] = {bytes, size - 2 * kPage};
  return start;
}

bool Memory::unpin(void* memory) {
  const auto found = pinned_.find(number(memory));
  if (found == pinned_.end()) return false;
  mprotect(memory, found->second.mapped, PROT_NONE);
  pinned_.erase(found);
  return true;
}

bool Memory::is_pinned(const void* memory, size_t bytes) const {
  const auto next = pinned_.upper_bound(number(memory));
  if (next == pinned_.begin()) return false;
  const auto& [start, pinned] = *std::prev(next);
  return number(memory) + bytes <= start + pinned.bytes;
}

size_t Memory::pinned_bytes(const void* memory) const {
  const auto found = pinned_.find(number(memory));
  return found == pinned_.end() ? 0 : found->second.bytes;
}

}  // namespace elbo::cuda::simulated
