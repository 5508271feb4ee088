// Arrays on a device for a test of ops: each between guard zones, outputs full of NaN at first.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/buffer.hpp"

namespace elbo {

class Workspace {
 public:
  /// Every array is aligned to 64 bytes, but the `shifted`-th of floats (from 1; 0: none) starts
  /// one float later.
  explicit Workspace(std::shared_ptr<Device> device, int shifted = 0)
      : device_(std::move(device)), shifted_(shifted) {}

  /// A copy of `values`.
  template <class T>
  T* put(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    return reinterpret_cast<T*>(add({bytes, bytes + values.size() * sizeof(T)}, offset<T>()));
  }
  /// `size` elements to be written, NaN until then.
  template <class T>
  T* output(size_t size) {
    return reinterpret_cast<T*>(
        add(std::vector<unsigned char>(size * sizeof(T), 0xff), offset<T>()));
  }
  /// The first `size` elements of an array made above.
  template <class T>
  std::vector<T> get(const T* array, size_t size) const {
    std::vector<T> values(size);
    device_->download(values.data(), array, size * sizeof(T));
    return values;
  }

  /// Runs the program and looks after the guard zones.
  void run(Program program, uint64_t repeats = 1) {
    device_->prepare(std::move(program))->run(repeats);
    device_->synchronize();
    for (size_t i = 0; i < arrays_.size(); ++i) {
      const Array& array = arrays_[i];
      const std::vector<unsigned char> bytes = array.buffer.download();
      const auto is_guard = [](unsigned char byte) { return byte == kGuardByte; };
      const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(array.offset);
      const auto end = begin + static_cast<std::ptrdiff_t>(array.size);
      EXPECT_TRUE(std::all_of(bytes.begin(), begin, is_guard)) << "written before array " << i;
      EXPECT_TRUE(std::all_of(end, bytes.end(), is_guard)) << "written behind array " << i;
    }
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr unsigned char kGuardByte = 0xa5;

  struct Array {
    Buffer<unsigned char> buffer;
    size_t offset, size;
  };

  template <class T>
  size_t offset() {
    return kGuard + (std::is_same_v<T, float> && ++floats_ == shifted_ ? sizeof(float) : 0);
  }
  unsigned char* add(const std::vector<unsigned char>& content, size_t offset) {
    std::vector<unsigned char> bytes(offset + content.size() + kGuard, kGuardByte);
    std::copy(content.begin(), content.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    arrays_.push_back({{device_, bytes.size(), "a test's array"}, offset, content.size()});
    arrays_.back().buffer.upload(bytes);
    return arrays_.back().buffer.data() + offset;
  }

  std::shared_ptr<Device> device_;
  int shifted_;
  int floats_ = 0;  // arrays of them
  std::vector<Array> arrays_;
};

/// The same numbers at every call with the same arguments.
inline std::vector<float> uniform_floats(size_t count, float low, float high, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(count);
  for (float& value : values)
    value = low + (high - low) * (static_cast<float>(engine() >> 8) * 0x1p-24f);
  return values;
}

/// Odd multiples of 1/8 within (-1, 1): sums of up to 2^18 products of two are exact in float, in
/// every order, so that any two correct executions agree to the bit.
inline std::vector<float> odd_eighths(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(count);
  for (float& value : values)
    value = static_cast<float>(static_cast<int>(engine() >> 29) * 2 - 7) / 8;
  return values;
}

}  // namespace elbo
