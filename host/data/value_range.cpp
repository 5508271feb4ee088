#include "host/data/value_range.hpp"

#include <bit>
#include <cmath>
#include <limits>

#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

// Integers in the order of the values, with NaN beyond the infinities. Integer minima vectorise
// even if floating-point minima do not, and they cannot lose a NaN. For floats the map is its own
// inverse.
std::uint8_t order_key(std::uint8_t value) { return value; }

std::int32_t order_key(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value);
  return bits ^ ((bits >> 31) & std::numeric_limits<std::int32_t>::max());
}

std::int64_t order_key(double value) {
  const auto bits = std::bit_cast<std::int64_t>(value);
  return bits ^ ((bits >> 63) & std::numeric_limits<std::int64_t>::max());
}

template <class Value, class Key>
Value value_of_key(Key key) {
  return std::bit_cast<Value>(order_key(std::bit_cast<Value>(key)));
}

template <class Value>
ValueRange range_of(const Value* values, std::int64_t rows, std::int64_t dim,
                    const std::string& source) {
  using Key = decltype(order_key(Value{}));
  const std::int64_t count = rows * dim;
  Key low = std::numeric_limits<Key>::max();
  Key high = std::numeric_limits<Key>::min();
#pragma omp parallel for simd reduction(min : low) reduction(max : high)
  for (std::int64_t i = 0; i < count; ++i) {
    const Key key = order_key(values[i]);
    low = key < low ? key : low;
    high = key > high ? key : high;
  }
  const ValueRange range{static_cast<double>(value_of_key<Value>(low)),
                         static_cast<double>(value_of_key<Value>(high))};
  if (std::isfinite(range.minimum) && std::isfinite(range.maximum)) return range;

  std::int64_t first = 0;
  while (std::isfinite(static_cast<double>(values[first]))) ++first;
  throw DataError(formatted("{}: row {}, element {} is {:f}; expected finite values", source,
                            first / dim, first % dim, static_cast<double>(values[first])));
}

}  // namespace

ValueRange find_value_range(const void* values, DType dtype, std::int64_t rows, std::int64_t dim,
                            const std::string& source) {
  ELBO_ASSERT(rows > 0 && dim > 0);
  switch (dtype) {
    case DType::u8:
      return range_of(static_cast<const std::uint8_t*>(values), rows, dim, source);
    case DType::f32:
      return range_of(static_cast<const float*>(values), rows, dim, source);
    case DType::f64:
      return range_of(static_cast<const double*>(values), rows, dim, source);
  }
  throw InternalError("unknown dtype");
}

}  // namespace elbo
