// Mean and variance of a stream of numbers.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace elbo {

/// Moments of each column of a stream of rows (Welford 1962).
class RunningMoments {
 public:
  explicit RunningMoments(size_t columns) : mean_(columns), squares_(columns) {}
  template <class T>
  void add(const T* row) {
    ++count_;
    for (size_t c = 0; c < mean_.size(); ++c) {
      const double delta = row[c] - mean_[c];
      mean_[c] += delta / static_cast<double>(count_);
      squares_[c] += delta * (row[c] - mean_[c]);
    }
  }
  double mean(size_t column) const { return mean_[column]; }
  double variance(size_t column) const { return squares_[column] / static_cast<double>(count_); }
  /// Returns the estimated standard error of the mean; 0 for a single row.
  double standard_error(size_t column) const {
    return count_ > 1 ? std::sqrt(variance(column) / static_cast<double>(count_ - 1)) : 0.0;
  }

 private:
  int64_t count_ = 0;
  std::vector<double> mean_, squares_;
};

}  // namespace elbo
