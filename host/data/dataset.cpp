#include "host/data/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>
#include <system_error>
#include <utility>

#include "host/data/counter_hash.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/text.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

void check_options(const DatasetOptions& options) {
  const double fraction = options.validation_fraction;
  if (!(fraction >= 0.0 && fraction < 1.0)) {
    throw ConfigError(formatted(
        "validation-fraction: got '{:g}', expected at least 0 and less than 1", fraction));
  }
  if (options.images.size < 0 || options.images.size > kLargestImageSize) {
    throw ConfigError(formatted("image-size: got '{}', expected between 0 and {}",
                                options.images.size, kLargestImageSize));
  }
}

std::pair<const DatasetReader*, std::vector<Table>> read_tables(const fs::path& path,
                                                                const ImageOptions& images) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (error) fail_system(path, "open data set", error.value());
  if (!fs::is_directory(status) && !fs::is_regular_file(status)) {
    fail_file(path, "is neither a directory nor a file");
  }
  std::string expected;
  for (const DatasetReader& reader : dataset_readers()) {
    std::vector<Table> tables = reader.read(path, images);
    if (!tables.empty()) return {&reader, std::move(tables)};
    expected += (expected.empty() ? "" : "; or ") + std::string(reader.expects);
  }
  const bool empty = fs::is_directory(status) && fs::is_empty(path, error);
  fail_file(path,
            (empty ? "is an empty directory; expected " : "no data set recognised; expected ") +
                expected);
}

/// Checks every table, and that all agree with the first.
void check_tables(const std::vector<Table>& tables) {
  const Table& first = tables.front();
  const Shape sample_shape(first.shape.begin() + 1, first.shape.end());
  for (const Table& table : tables) {
    const std::int64_t rows = table.shape.front();
    if (rows == 0) fail_file(table.source, "holds no rows");
    if (rows > std::numeric_limits<std::uint32_t>::max()) {
      fail_file(table.source, std::to_string(rows) + " rows; expected fewer than 2^32");
    }
    const Shape shape(table.shape.begin() + 1, table.shape.end());
    if (element_count(shape) == 0) {
      fail_file(table.source, formatted("rows of shape {} hold no elements", to_string(shape)));
    }
    if (shape != sample_shape) {
      fail_file(table.source, "rows of shape " + to_string(shape) + ", but " +
                                  to_string(sample_shape) + " in " + first.source);
    }
    if (table.dtype != first.dtype) {
      fail_file(table.source, std::string("values of type ") + name_of(table.dtype) + ", but " +
                                  name_of(first.dtype) + " in " + first.source);
    }
    const auto labels = static_cast<std::int64_t>(table.labels.size());
    if (labels != 0 && labels != rows) {
      fail_file(table.source, formatted("{} labels for {} rows", labels, rows));
    }
  }
}

ValueRange range_of_tables(const std::vector<Table>& tables, std::int64_t dim, bool check_values) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!check_values) {
    if (tables.front().dtype == DType::u8) return {0.0, 255.0};
    return {-kInfinity, kInfinity};
  }
  ValueRange range{kInfinity, -kInfinity};
  for (const Table& table : tables) {
    const ValueRange part =
        find_value_range(table.rows, table.dtype, table.shape.front(), dim, table.source);
    range.minimum = std::min(range.minimum, part.minimum);
    range.maximum = std::max(range.maximum, part.maximum);
  }
  return range;
}

/// The last `count` of `rows` rows are `chosen`, the ones before them `others`.
void take_last_rows(std::int64_t rows, std::int64_t count, std::vector<std::uint32_t>& chosen,
                    std::vector<std::uint32_t>& others) {
  others.resize(static_cast<std::size_t>(rows - count));
  chosen.resize(static_cast<std::size_t>(count));
  std::iota(others.begin(), others.end(), 0u);
  std::iota(chosen.begin(), chosen.end(), static_cast<std::uint32_t>(rows - count));
}

/// Chooses `count` of `rows` rows, each subset equally likely, by one pass in order (Knuth,
/// algorithm S): `chosen` and `others` together are all rows, both ascending.
void choose_rows(std::int64_t rows, std::int64_t count, std::uint64_t seed,
                 std::vector<std::uint32_t>& chosen, std::vector<std::uint32_t>& others) {
  chosen.reserve(static_cast<std::size_t>(count));
  others.reserve(static_cast<std::size_t>(rows - count));
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto remaining = static_cast<std::uint64_t>(rows - row);
    const std::uint64_t wanted = static_cast<std::uint64_t>(count) - chosen.size();
    const std::uint64_t draw = hash_counter(seed, static_cast<std::uint64_t>(row)) % remaining;
    (draw < wanted ? chosen : others).push_back(static_cast<std::uint32_t>(row));
  }
}

Split whole_table(Table table, std::string name) {
  return {std::move(name),
          std::move(table.source),
          std::move(table.owner),
          table.rows,
          table.dtype,
          table.shape.front(),
          {},
          std::move(table.labels)};
}

std::string label_summary(const Split& split) {
  if (split.labels.empty()) return "no labels";
  const auto [low, high] = std::ranges::minmax(split.labels);
  return formatted("labels {} to {}", low, high);
}

}  // namespace

struct Dataset::All {
  std::once_flag once;
  Split split;
};

Dataset Dataset::open(const fs::path& path, const DatasetOptions& options) {
  check_options(options);
  auto [reader, tables] = read_tables(path, options.images);
  return Dataset(path, reader, std::move(tables), options);
}

template <class T>
Dataset Dataset::from_vector(std::vector<T> rows, DType dtype, const Shape& sample_shape,
                             const DatasetOptions& options, std::vector<std::int32_t> labels) {
  check_options(options);
  const std::string source = "rows from memory";
  const auto sample_bytes = checked_bytes(sample_shape, sizeof(T));
  if (!sample_bytes || *sample_bytes == 0) {
    fail_file(source, "sample shape " + to_string(sample_shape) + " holds no elements");
  }
  const std::size_t dim = *sample_bytes / sizeof(T);
  if (rows.size() % dim != 0) {
    fail_file(source,
              formatted("{} values cannot be split into samples of {} values", rows.size(), dim));
  }
  Table table{"train", source, nullptr, nullptr, dtype, sample_shape, std::move(labels)};
  table.shape.insert(table.shape.begin(), static_cast<std::int64_t>(rows.size() / dim));
  const auto owner = std::make_shared<const std::vector<T>>(std::move(rows));
  table.rows = owner->data();
  table.owner = owner;
  return Dataset({}, nullptr, {std::move(table)}, options);
}

Dataset Dataset::from_rows(std::vector<float> rows, const Shape& sample_shape,
                           const DatasetOptions& options, std::vector<std::int32_t> labels) {
  return from_vector(std::move(rows), DType::f32, sample_shape, options, std::move(labels));
}

Dataset Dataset::from_rows(std::vector<std::uint8_t> rows, const Shape& sample_shape,
                           const DatasetOptions& options, std::vector<std::int32_t> labels) {
  return from_vector(std::move(rows), DType::u8, sample_shape, options, std::move(labels));
}

Dataset::Dataset(fs::path path, const DatasetReader* reader, std::vector<Table> tables,
                 const DatasetOptions& options)
    : path_(std::move(path)), reader_(reader), all_(std::make_shared<All>()) {
  check_tables(tables);
  const Table& first = tables.front();
  dtype_ = first.dtype;
  sample_shape_.assign(first.shape.begin() + 1, first.shape.end());
  if (sample_shape_.empty()) sample_shape_ = {1};  // a vector of numbers: samples of one element
  dim_ = element_count(sample_shape_);
  range_ = range_of_tables(tables, dim_, options.check_values);

  const bool has_validation =
      std::ranges::find(tables, "validation", &Table::split) != tables.end();
  for (Table& table : tables) add_splits(std::move(table), has_validation, options);
}

void Dataset::add_splits(Table table, bool has_validation, const DatasetOptions& options) {
  std::string name = table.split;
  splits_.push_back(whole_table(std::move(table), std::move(name)));
  if (splits_.back().name != "train" || has_validation || options.validation_fraction == 0.0) {
    return;
  }
  const std::int64_t rows = splits_.back().row_count;
  if (rows < 2) return;
  const std::int64_t count = std::clamp<std::int64_t>(
      std::llround(static_cast<double>(rows) * options.validation_fraction), 1, rows - 1);
  Split validation = splits_.back();
  validation.name = "validation";
  if (options.validation_last)
    take_last_rows(rows, count, validation.index, splits_.back().index);
  else
    choose_rows(rows, count, options.seed, validation.index, splits_.back().index);
  splits_.push_back(std::move(validation));
}

Split Dataset::combine_all() const {
  std::vector<const Split*> tables;  // one split of each table: they share its rows
  for (const Split& split : splits_) {
    if (tables.empty() || tables.back()->rows != split.rows) tables.push_back(&split);
  }
  Split all = *tables.front();
  all.name = "all";
  all.index.clear();
  if (tables.size() == 1) return all;

  const bool labelled = std::ranges::none_of(tables, [](auto* t) { return t->labels.empty(); });
  const std::size_t row_bytes = static_cast<std::size_t>(dim_) * size_of(dtype_);
  all.source.clear();
  all.row_count = 0;
  all.labels.clear();
  for (const Split* table : tables) {
    all.source += (all.source.empty() ? "" : " + ") + table->source;
    all.row_count += table->row_count;
    if (labelled) all.labels.insert(all.labels.end(), table->labels.begin(), table->labels.end());
  }
  std::shared_ptr<std::byte[]> bytes(
      new std::byte[static_cast<std::size_t>(all.row_count) * row_bytes]);
  std::byte* end = bytes.get();
  for (const Split* table : tables) {
    const std::size_t size = static_cast<std::size_t>(table->row_count) * row_bytes;
    std::memcpy(end, table->rows, size);
    end += size;
  }
  all.rows = bytes.get();
  all.owner = std::move(bytes);
  return all;
}

std::string Dataset::split_names() const {
  std::string names;
  for (const Split& split : splits_) names += split.name + ", ";
  return names + "all";
}

bool Dataset::holds_out() const {
  return has("validation") && split("validation").rows == split("train").rows;
}

bool Dataset::has(std::string_view name) const {
  return name == "all" || std::ranges::find(splits_, name, &Split::name) != splits_.end();
}

const Split& Dataset::split(std::string_view name) const {
  if (name == "all") {
    std::call_once(all_->once, [this] { all_->split = combine_all(); });
    return all_->split;
  }
  const auto found = std::ranges::find(splits_, name, &Split::name);
  if (found == splits_.end()) {
    fail_file(path_.empty() ? fs::path("data set") : path_,
              "no split " + in_quotes(name) + "; there are " + split_names());
  }
  return *found;
}

std::string Dataset::describe() const {
  std::string text = "samples     " + to_string(sample_shape_) + " " + name_of(dtype_) +
                     ", values from " + format_number(range_.minimum) + " to " +
                     format_number(range_.maximum) + "\n";
  for (const Split& split : splits_) {
    text += formatted("{:<12}{} rows, {}, {}\n", split.name, split.size(), label_summary(split),
                      split.source);
  }
  return text;
}

}  // namespace elbo
