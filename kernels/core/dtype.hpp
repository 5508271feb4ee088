// Element types of a data set. All values computed from them are float.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elbo {

enum class DType : std::uint8_t { u8, f32, f64 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
      return 1;
    case DType::f32:
      return 4;
    case DType::f64:
      return 8;
  }
  return 0;
}

/// The name that users read: "u8", "f32", "f64".
constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
      return "u8";
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
  }
  return "?";
}

}  // namespace elbo
