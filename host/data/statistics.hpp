// Mean and variance of each element over a split, for initialising a decoder's output, and the
// entropy of grey values.
#pragma once

#include <vector>

#include "host/data/dataset.hpp"

namespace elbo {

struct ColumnStatistics {
  std::vector<double> mean;      // [dim]
  std::vector<double> variance;  // [dim]
};

/// Over at most `limit` rows, evenly spaced. 8-bit values are v / 255.
ColumnStatistics column_statistics(const Split& split, int64_t dim, int64_t limit = 65536);

/// The mean over rows of sum H(v), with v the probability of a 1, in nats: the lower bound of a
/// cross-entropy against these values. Values are in [0, 1]; rows are chosen as above.
double mean_entropy(const Split& split, int64_t dim, int64_t limit = 65536);

}  // namespace elbo
