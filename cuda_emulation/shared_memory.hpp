// The shared memory of one emulated block: NaN bits where nothing was written yet, and red zones
// that AddressSanitizer guards between the variables.
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

  /// The static variable of this identity, made at its first use; null where 48 KiB are exceeded.
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
