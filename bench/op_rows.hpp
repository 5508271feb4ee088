// Sizes and names that the rows of element-wise ops and reductions share.
#pragma once

#include "bench/row.hpp"

namespace elbo::bench {

inline constexpr int64_t kLarge = int64_t{1} << 24, kHuge = int64_t{1} << 26;
inline constexpr int32_t kColumns = 784;
inline constexpr int32_t kHugeBatch = 85599;                     // times 784: 67.1 M elements
inline constexpr int32_t kBatches[] = {128, 21504, kHugeBatch};  // 21504 * 784 elements: 16.9 M

inline std::string sizes(int64_t rows, int64_t columns) {
  return std::to_string(rows) + "x" + std::to_string(columns);
}

inline std::string row_name(std::string_view op, std::string_view variant,
                            const std::string& size) {
  std::string name(op);
  if (!variant.empty()) name.append("/").append(variant);
  return name + "/" + size;
}

inline Row memory_row(std::string_view op, std::string_view variant, const std::string& size,
                      auto make) {
  return op_row(row_name(op, variant, size), Ceiling::copy_rate, make);
}

/// Adds a row of an op of `elements` elements. The largest rows run on GPUs only.
inline void add(Rows& rows, int64_t elements, Row row) {
  if (elements >= kHuge) row.only = DeviceKind::cuda;
  rows.push_back(std::move(row));
}

}  // namespace elbo::bench
