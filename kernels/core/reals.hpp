// Arrays of numbers that are float, or bfloat16 if training in bf16 stores them so.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/math/bfloat16.hpp"

namespace elbo {

enum class Format : uint8_t { f32, bf16 };

constexpr size_t size_of(Format format) { return format == Format::f32 ? 4 : 2; }

/// Numbers to write.
struct Reals {
  void* data = nullptr;
  Format format = Format::f32;

  constexpr Reals() = default;
  constexpr Reals(void* numbers, Format stored) : data(numbers), format(stored) {}
  constexpr Reals(std::nullptr_t) {}
  constexpr Reals(float* floats) : data(floats) {}
  constexpr Reals(math::Bfloat16* numbers) : data(numbers), format(Format::bf16) {}

  /// Typed access; the caller has checked the format.
  template <class T>
  ELBO_HD T* as() const {
    return static_cast<T*>(data);
  }
  ELBO_HD float* f32() const { return static_cast<float*>(data); }
  /// The numbers from index `offset` on.
  Reals from(int64_t offset) const {
    Reals rest = *this;
    rest.data = static_cast<char*>(data) + offset * static_cast<int64_t>(element_bytes());
    return rest;
  }
  constexpr size_t element_bytes() const { return size_of(format); }
  constexpr explicit operator bool() const { return data != nullptr; }
};

/// Numbers to read.
struct ConstReals {
  const void* data = nullptr;
  Format format = Format::f32;

  constexpr ConstReals() = default;
  constexpr ConstReals(std::nullptr_t) {}
  constexpr ConstReals(const float* floats) : data(floats) {}
  constexpr ConstReals(const math::Bfloat16* numbers) : data(numbers), format(Format::bf16) {}
  constexpr ConstReals(Reals reals) : data(reals.data), format(reals.format) {}

  template <class T>
  ELBO_HD const T* as() const {
    return static_cast<const T*>(data);
  }
  ELBO_HD const float* f32() const { return static_cast<const float*>(data); }
  constexpr size_t element_bytes() const { return size_of(format); }
  constexpr explicit operator bool() const { return data != nullptr; }
};

}  // namespace elbo
