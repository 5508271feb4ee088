// The memory that an op reads and writes. These lists determine the bytes of a benchmark's row, the
// dependencies between ops (kernels/dataflow.hpp) and therefore the branches of a CUDA graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/core/reals.hpp"

namespace elbo {

/// A range of memory that an op reads or writes.
struct Access {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  double bytes = 0.0;  // moved at full batch; less than the range if rows have gaps
  bool writes = false;

  bool overlaps(const Access& other) const { return begin < other.end && other.begin < end; }
};

/// The accesses of one op. Null pointers, which stand for absent operands, add nothing.
class AccessList {
 public:
  template <class T>
  AccessList& reads(const T* data, int64_t count) {
    return add(data, count, count, sizeof(T), false);
  }
  template <class T>
  AccessList& writes(T* data, int64_t count) {
    return add(data, count, count, sizeof(T), true);
  }
  AccessList& reads(ConstReals data, int64_t count) {
    return add(data.data, count, count, data.element_bytes(), false);
  }
  AccessList& writes(Reals data, int64_t count) {
    return add(data.data, count, count, data.element_bytes(), true);
  }
  /// `rows` rows of `columns` elements, `stride` elements apart (0: one row for all).
  AccessList& reads_rows(ConstReals data, int64_t rows, int64_t columns, int64_t stride) {
    return add(data.data, extent(rows, columns, stride), stride == 0 ? columns : rows * columns,
               data.element_bytes(), false);
  }
  AccessList& writes_rows(Reals data, int64_t rows, int64_t columns, int64_t stride) {
    return add(data.data, extent(rows, columns, stride), rows * columns, data.element_bytes(),
               true);
  }
  /// `moved` elements at any positions among `count`.
  template <class T>
  AccessList& gathers(const T* data, int64_t count, int64_t moved) {
    return add(data, count, moved, sizeof(T), false);
  }
  AccessList& gathers_raw(const void* data, int64_t count, int64_t moved, size_t element_bytes) {
    return add(data, count, moved, element_bytes, false);
  }

  const std::vector<Access>& items() const { return items_; }
  double bytes() const {
    double sum = 0.0;
    for (const Access& access : items_) sum += access.bytes;
    return sum;
  }

 private:
  static int64_t extent(int64_t rows, int64_t columns, int64_t stride) {
    return rows == 0 ? 0 : (rows - 1) * stride + columns;
  }
  AccessList& add(const void* data, int64_t extent, int64_t moved, size_t element_bytes,
                  bool writes) {
    if (data == nullptr || extent == 0) return *this;
    const auto begin = reinterpret_cast<uintptr_t>(data);
    items_.push_back({begin, begin + static_cast<size_t>(extent) * element_bytes,
                      static_cast<double>(moved) * static_cast<double>(element_bytes), writes});
    return *this;
  }

  std::vector<Access> items_;
};

}  // namespace elbo
