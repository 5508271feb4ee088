#include "host/data/factors.hpp"

#include <string>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/npy.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

fs::path file_beside(const Dataset& data, std::string_view split) {
  return data.path() / (std::string(split) + "-factors.npy");
}

/// The splits whose tables contain a split's rows, in order.
std::vector<const Split*> tables_of(const Dataset& data, const Split& split) {
  if (split.name != "all") return {&split};
  std::vector<const Split*> tables;
  for (const std::string_view name : kSplitNames)
    if (data.has(name) && (tables.empty() || tables.back()->rows != data.split(name).rows))
      tables.push_back(&data.split(name));
  return tables;
}

/// Every row of a file.
Factors read_table(const fs::path& path, const std::string& source, int64_t rows) {
  const NpyArray array = open_npy(path);
  if (array.shape.size() != 2 || array.shape[0] != rows || array.shape[1] < 1)
    fail_file(path, formatted("factors have shape {}, expected {} x factors, a row for each of {}",
                              to_string(array.shape), rows, source));
  Factors factors{static_cast<size_t>(array.shape[1]), {}};
  if (is_integer(array.type)) {
    const std::vector<int32_t> values = to_integers(array, path);
    factors.values.assign(values.begin(), values.end());
  } else {
    factors.values = to_floats(array, path);
  }
  return factors;
}

}  // namespace

Factors read_factors(const fs::path& path, const Split& split) {
  Factors factors = read_table(path, split.source, split.row_count);
  if (split.index.empty()) return factors;
  std::vector<float> chosen;
  chosen.reserve(split.index.size() * factors.columns);
  for (const uint32_t row : split.index) {
    const auto first = factors.values.begin() + static_cast<int64_t>(row * factors.columns);
    chosen.insert(chosen.end(), first, first + static_cast<int64_t>(factors.columns));
  }
  return {factors.columns, std::move(chosen)};
}

std::optional<Factors> find_factors(const Dataset& data, const Split& split) {
  if (!fs::is_directory(data.path())) return std::nullopt;
  std::optional<Factors> all;
  for (const Split* table : tables_of(data, split)) {
    // Rows held out of train for validation are still train's.
    const bool held_out = table->name == "validation" && !table->index.empty();
    const fs::path path = file_beside(data, held_out ? "train" : table->name);
    if (!fs::exists(path)) return std::nullopt;
    if (split.name != "all") return read_factors(path, split);
    Factors part = read_table(path, table->source, table->row_count);
    if (!all) {
      all = std::move(part);
      continue;
    }
    if (part.columns != all->columns)
      fail_file(path, formatted("got {} factors, expected {} as in the file before", part.columns,
                                all->columns));
    all->values.insert(all->values.end(), part.values.begin(), part.values.end());
  }
  return all;
}

}  // namespace elbo
