// Owned memory on a device.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/core/error.hpp"
#include "kernels/device.hpp"

namespace elbo {

/// `size` elements on a device, initially zero. Move-only.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Device> device, size_t size, std::string_view purpose)
      : Buffer() {  // so that the destructor runs if fill_zero throws
    device_ = std::move(device);
    size_ = size;
    if (size == 0) return;
    data_ = static_cast<T*>(device_->allocate(size * sizeof(T), purpose));
    device_->fill_zero(data_, size * sizeof(T));
  }
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }

  T* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Copies `values` to the elements from index `offset` on.
  void upload(std::span<const T> values, size_t offset = 0) {
    ELBO_ASSERT(offset + values.size() <= size_);
    if (!values.empty()) device_->upload(data_ + offset, values.data(), values.size_bytes());
  }
  /// Returns a copy of `count` elements from index `offset` on.
  std::vector<T> download(size_t offset, size_t count) const {
    ELBO_ASSERT(offset + count <= size_);
    std::vector<T> values(count);
    if (count != 0) device_->download(values.data(), data_ + offset, count * sizeof(T));
    return values;
  }
  std::vector<T> download() const { return download(0, size_); }

 private:
  void reset() noexcept {
    if (data_ != nullptr) device_->release(data_);
    data_ = nullptr;
    size_ = 0;
  }
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  std::shared_ptr<Device> device_;
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace elbo
