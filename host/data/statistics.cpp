#include "host/data/statistics.hpp"

#include <algorithm>

namespace elbo {
namespace {

template <class Stored>
void accumulate(const Split& split, int64_t dim, int64_t rows, double scale, double* sum,
                double* squares) {
  const int64_t total = split.size();
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t position = i * total / rows;
    const int64_t row = split.index.empty() ? position : split.index[static_cast<size_t>(position)];
    const Stored* values = static_cast<const Stored*>(split.rows) + row * dim;
    for (int64_t c = 0; c < dim; ++c) {
      const double v = scale * static_cast<double>(values[c]);
      sum[c] += v;
      squares[c] += v * v;
    }
  }
}

}  // namespace

ColumnStatistics column_statistics(const Split& split, int64_t dim, int64_t limit) {
  const int64_t rows = std::min(limit, split.size());
  ColumnStatistics s;
  s.mean.assign(static_cast<size_t>(dim), 0.0);
  s.variance.assign(static_cast<size_t>(dim), 0.0);
  switch (split.dtype) {
    case DType::u8:
      accumulate<uint8_t>(split, dim, rows, 1.0 / 255.0, s.mean.data(), s.variance.data());
      break;
    case DType::f32:
      accumulate<float>(split, dim, rows, 1.0, s.mean.data(), s.variance.data());
      break;
    case DType::f64:
      accumulate<double>(split, dim, rows, 1.0, s.mean.data(), s.variance.data());
      break;
  }
  for (size_t c = 0; c < s.mean.size(); ++c) {
    s.mean[c] /= static_cast<double>(rows);
    s.variance[c] /= static_cast<double>(rows);
    s.variance[c] = std::max(0.0, s.variance[c] - s.mean[c] * s.mean[c]);
  }
  return s;
}

}  // namespace elbo
