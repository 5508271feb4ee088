// Shapes in files, and the checked multiplication that every parser needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace elbo {

using Shape = std::vector<std::int64_t>;

/// NumPy's limit.
inline constexpr std::size_t kMostDimensions = 64;

/// Bytes of a dense array, or nothing if a dimension is negative or the product does not fit
/// into 63 bits. Sizes in a file must not be used before this is compared with the file's length.
inline std::optional<std::size_t> checked_bytes(std::span<const std::int64_t> shape,
                                                std::size_t item_size) {
  auto bytes = static_cast<std::int64_t>(item_size);
  bool empty = false;
  for (std::int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : static_cast<std::size_t>(bytes);
}

/// Number of elements of a valid shape; 1 for the empty shape.
inline std::int64_t element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (std::int64_t extent : shape) count *= extent;
  return count;
}

/// "28x28", or "1" for the empty shape.
inline std::string to_string(std::span<const std::int64_t> shape) {
  if (shape.empty()) return "1";
  std::string text;
  for (std::int64_t extent : shape) {
    if (!text.empty()) text += 'x';
    text += std::to_string(extent);
  }
  return text;
}

}  // namespace elbo
