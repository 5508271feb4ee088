// Mean and variance of each element over a split, for initialising a decoder's output.
#pragma once

#include <vector>

#include "host/data/dataset.hpp"

namespace elbo {

struct ColumnStatistics {
  std::vector<double> mean;      // [dim]
  std::vector<double> variance;  // [dim]
};

/// Over at most `limit` rows, evenly spaced. 8-bit values count as v / 255.
ColumnStatistics column_statistics(const Split& split, int64_t dim, int64_t limit = 65536);

}  // namespace elbo
