#include "cuda_emulation/pending_copies.hpp"

#include <algorithm>
#include <cstring>

#include "cuda_emulation/sanitizers.hpp"

namespace elbo::cuda::emulation {
namespace {

constexpr int kNotYetCopied = 0xff;

}  // namespace

// AddressSanitizer intercepts memset and memcpy, so it checks these accesses without annotations.

void PendingCopies::start(std::byte* target, const std::byte* source, size_t source_bytes,
                          size_t bytes) {
  note_write(target, bytes);
  std::memset(target, kNotYetCopied, bytes);
  copies_.push_back({target, source, source_bytes, bytes, groups_});
}

void PendingCopies::wait(uint64_t pending) {
  const auto first_left = std::find_if(copies_.begin(), copies_.end(), [&](const Copy& copy) {
    return copy.group + pending >= groups_;
  });
  for (auto copy = copies_.begin(); copy != first_left; ++copy) {
    note_read(copy->source, copy->source_bytes);
    note_write(copy->target, copy->bytes);
    if (copy->source_bytes != 0) std::memcpy(copy->target, copy->source, copy->source_bytes);
    std::memset(copy->target + copy->source_bytes, 0, copy->bytes - copy->source_bytes);
  }
  copies_.erase(copies_.begin(), first_left);
}

}  // namespace elbo::cuda::emulation
