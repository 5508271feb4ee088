#include "cuda_emulation/shared_memory.hpp"

#include <algorithm>
#include <cstring>

#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation {
namespace {

constexpr size_t kStaticLimit = 48 * 1024;
constexpr size_t kRedZone = 64;
constexpr size_t kAlignment = 128;
constexpr size_t kMaxVariables = 64;
// Capacity for the static variables, each with its red zone and padding.
constexpr size_t kStaticArena = kStaticLimit + kMaxVariables * (kRedZone + kAlignment);
constexpr int kUnwritten = 0xff;

size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

// Layout: dynamic memory, red zone, then the static variables in order of first use, each followed
// by a red zone.
SharedMemory::SharedMemory(size_t dynamic_bytes)
    : capacity_(kAlignment + dynamic_bytes + kRedZone + kStaticArena),
      arena_(new std::byte[capacity_]) {
  std::memset(arena_.get(), kUnwritten, capacity_);
  const auto start = reinterpret_cast<size_t>(arena_.get());
  dynamic_ = arena_.get() + (round_up(start + 1, kAlignment) - start);
  arena_used_ = static_cast<size_t>(dynamic_ - arena_.get()) + dynamic_bytes + kRedZone;
  variables_.reserve(kMaxVariables);
  poison(arena_.get(), capacity_);
  unpoison(dynamic_, dynamic_bytes);
}

SharedMemory::~SharedMemory() { unpoison(arena_.get(), capacity_); }

bool SharedMemory::contains(const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  return byte >= arena_.get() && byte < arena_.get() + capacity_;
}

void* SharedMemory::variable(const void* identity, size_t bytes, size_t alignment) {
  for (const Variable& known : variables_) {
    if (known.identity == identity) return known.address;
  }
  const auto start = reinterpret_cast<size_t>(arena_.get());
  const size_t offset =
      round_up(start + arena_used_, std::clamp<size_t>(alignment, 16, kAlignment)) - start;
  static_bytes_ += bytes;
  if (static_bytes_ > kStaticLimit || variables_.size() == kMaxVariables) return nullptr;
  std::byte* address = arena_.get() + offset;
  unpoison(address, bytes);
  arena_used_ = offset + bytes + kRedZone;
  variables_.push_back({identity, address});
  return address;
}

}  // namespace elbo::cuda::emulation
