#include "host/data/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace elbo {
namespace {

/// Calls use(values) for `rows` evenly spaced rows.
template <class Stored, class Use>
void for_each_row(const Split& split, int64_t dim, int64_t rows, Use&& use) {
  const int64_t total = split.size();
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t position = i * total / rows;
    const int64_t row = split.index.empty() ? position : split.index[static_cast<size_t>(position)];
    use(static_cast<const Stored*>(split.rows) + row * dim);
  }
}

template <class Stored>
void accumulate(const Split& split, int64_t dim, int64_t rows, double scale, double* sum,
                double* squares) {
  for_each_row<Stored>(split, dim, rows, [&](const Stored* values) {
    for (int64_t c = 0; c < dim; ++c) {
      const double v = scale * static_cast<double>(values[c]);
      sum[c] += v;
      squares[c] += v * v;
    }
  });
}

double entropy(double v) {
  return v <= 0.0 || v >= 1.0 ? 0.0 : -v * std::log(v) - (1.0 - v) * std::log1p(-v);
}

template <class Stored>
double sum_entropies(const Split& split, int64_t dim, int64_t rows) {
  double sum = 0.0;
  for_each_row<Stored>(split, dim, rows, [&](const Stored* values) {
    for (int64_t c = 0; c < dim; ++c) sum += entropy(static_cast<double>(values[c]));
  });
  return sum;
}

/// By how often each of the 256 values occurs.
double sum_byte_entropies(const Split& split, int64_t dim, int64_t rows) {
  std::array<int64_t, 256> counts{};
  for_each_row<uint8_t>(split, dim, rows, [&](const uint8_t* values) {
    for (int64_t c = 0; c < dim; ++c) ++counts[values[c]];
  });
  double sum = 0.0;
  for (size_t v = 0; v < counts.size(); ++v)
    sum += static_cast<double>(counts[v]) * entropy(static_cast<double>(v) / 255.0);
  return sum;
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

double mean_entropy(const Split& split, int64_t dim, int64_t limit) {
  const int64_t rows = std::min(limit, split.size());
  const double sum = split.dtype == DType::u8    ? sum_byte_entropies(split, dim, rows)
                     : split.dtype == DType::f32 ? sum_entropies<float>(split, dim, rows)
                                                 : sum_entropies<double>(split, dim, rows);
  return sum / static_cast<double>(rows);
}

}  // namespace elbo
