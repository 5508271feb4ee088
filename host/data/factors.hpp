// Known factors that rows of a data set were generated from: {train,validation,test}-factors.npy
// beside the rows, numbers [rows, factors], one row for each of the file's.
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

/// The factors of the split's rows, from the files beside the data set; nothing where one is
/// missing. Throws DataError where one does not fit.
std::optional<Factors> find_factors(const Dataset& data, const Split& split);

/// Those of a file that holds a row for each of the split's table, of which the split takes its
/// own. Throws DataError where it does not fit.
Factors read_factors(const std::filesystem::path& path, const Split& split);

}  // namespace elbo
