// The shared memory of one emulated block. Bytes that were never written are NaN bits, and
// AddressSanitizer guards red zones between the variables.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace elbo::cuda::emulation {

class SharedMemory {
 public:
  explicit SharedMemory(size_t dynamic_bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// Returns the static variable with this identity; the first use allocates it. Returns null if
  /// the limit of 48 KiB or 64 variables is exceeded.
  void* variable(const void* identity, size_t bytes, size_t alignment);
  void* dynamic() const { return dynamic_; }
  bool contains(const void* address) const;

 private:
  struct Variable {
    const void* identity;
    void* address;
  };

  size_t capacity_;
  std::unique_ptr<std::byte[]> arena_;
  std::byte* dynamic_;
  size_t arena_used_;
  size_t static_bytes_ = 0;
  std::vector<Variable> variables_;
};

}  // namespace elbo::cuda::emulation
