// A data set: rows of equal shape in named splits, mapped or in memory, checked before training.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/reader.hpp"
#include "host/data/value_range.hpp"
#include "host/io/shape.hpp"
#include "kernels/core/dtype.hpp"

namespace elbo {

struct DatasetOptions {
  /// The fraction of train that becomes validation if there is no validation file, in [0, 1);
  /// rounded to whole rows, at least one if not 0, and never all. A single row is not divided.
  double validation_fraction = 0.1;
  bool validation_last = false;  // the last rows of train instead of chosen ones
  std::uint64_t seed = 1;        // chooses these rows, the same on every machine
  bool check_values = true;      // read everything once, for the range and against NaN and infinity
  ImageOptions images = {};      // of data sets of pictures
};

/// Some of the rows of a table. Copies share the table.
struct Split {
  std::string name;
  std::string source;                 // the file (or files) of the rows
  std::shared_ptr<const void> owner;  // keeps `rows` alive
  const void* rows = nullptr;         // [row_count, dim], C order
  DType dtype = DType::f32;
  std::int64_t row_count = 0;
  std::vector<std::uint32_t> index;  // rows of the split, ascending; empty: all
  std::vector<std::int32_t> labels;  // [row_count], or empty

  /// Rows that belong to the split.
  std::int64_t size() const {
    return index.empty() ? row_count : static_cast<std::int64_t>(index.size());
  }
};

class Dataset {
 public:
  /// Opens a directory or a single file of any format in dataset_readers(). Throws DataError if
  /// there is nothing to read or a file is invalid, and ConfigError if `validation_fraction` is out
  /// of range.
  static Dataset open(const std::filesystem::path& path, const DatasetOptions& options = {});

  /// Takes rows [n, sample_shape...] from memory, all of them as train before validation is split
  /// off. `labels` holds one per row, or none. Throws as open() does.
  static Dataset from_rows(std::vector<float> rows, const Shape& sample_shape,
                           const DatasetOptions& options = {},
                           std::vector<std::int32_t> labels = {});
  static Dataset from_rows(std::vector<std::uint8_t> rows, const Shape& sample_shape,
                           const DatasetOptions& options = {},
                           std::vector<std::int32_t> labels = {});

  /// "train", "validation", "test", or "all": every row of every file, in that order of files.
  /// Throws DataError naming the splits there are. If there are several files, the first call
  /// for "all" copies them into one table in memory.
  const Split& split(std::string_view name) const;
  bool has(std::string_view name) const;

  const Shape& sample_shape() const { return sample_shape_; }  // e.g. {28, 28}; never empty
  std::int64_t dim() const { return dim_; }                    // elements of a sample
  DType dtype() const { return dtype_; }
  /// Over all files. If values were not checked: 0 to 255 for u8, otherwise infinite.
  ValueRange range() const { return range_; }
  const std::filesystem::path& path() const { return path_; }  // empty for from_rows
  /// The reader; nullptr for from_rows.
  const DatasetReader* reader() const { return reader_; }
  /// True if validation rows were held out of train, false if they have a file of their own.
  bool holds_out() const;

  /// A few lines for people: shape, type and range, then a line per split.
  std::string describe() const;

 private:
  struct All;  // the lazily built split "all"

  Dataset(std::filesystem::path path, const DatasetReader* reader, std::vector<Table> tables,
          const DatasetOptions& options);
  template <class T>
  static Dataset from_vector(std::vector<T> rows, DType dtype, const Shape& sample_shape,
                             const DatasetOptions& options, std::vector<std::int32_t> labels);
  void add_splits(Table table, bool has_validation, const DatasetOptions& options);
  Split combine_all() const;
  std::string split_names() const;

  std::filesystem::path path_;
  const DatasetReader* reader_ = nullptr;
  Shape sample_shape_;
  std::int64_t dim_ = 0;
  DType dtype_ = DType::f32;
  ValueRange range_{};
  std::vector<Split> splits_;
  std::shared_ptr<All> all_;
};

}  // namespace elbo
