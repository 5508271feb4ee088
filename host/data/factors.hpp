// Known factors of a generated data set: {train,validation,test}-factors.npy beside the rows,
// numbers [rows, factors], one row for each row of the split's file.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "host/data/dataset.hpp"

namespace elbo {

struct Factors {
  size_t columns = 0;
  std::vector<float> values;  // [rows of the split, columns]
};

/// The factors of the split's rows, from the files beside the data set; nothing if one is
/// missing. Throws DataError if one does not fit.
std::optional<Factors> find_factors(const Dataset& data, const Split& split);

/// The factors of the split's rows, from a file with one row for each row of the split's table.
/// Throws DataError if it does not fit.
Factors read_factors(const std::filesystem::path& path, const Split& split);

}  // namespace elbo
