// The list of data set formats. A new format is one file with a `read` function and one line in
// reader.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/image_options.hpp"
#include "host/io/shape.hpp"
#include "kernels/core/dtype.hpp"

namespace elbo {

/// The rows of one file (or of one set of files), before any splitting.
struct Table {
  std::string split;                  // one of kSplitNames
  std::string source;                 // where the rows come from, for messages
  std::shared_ptr<const void> owner;  // keeps `rows` alive
  const void* rows = nullptr;         // C order
  DType dtype = DType::f32;
  Shape shape;                       // [rows, sample shape...]
  std::vector<std::int32_t> labels;  // one per row, or none
};

inline constexpr std::string_view kSplitNames[] = {"train", "validation", "test"};

struct DatasetReader {
  std::string_view name;     // what `elbo list` shows
  std::string_view expects;  // the file names it recognises, for error messages
  /// The tables of a directory or of a single file, at most one per split; none where the path
  /// holds nothing of this format. Throws DataError where it does and something is wrong with it.
  std::vector<Table> (*read)(const std::filesystem::path& path, const ImageOptions& options);
  /// The options that `read` follows: size, channels and cache, of pictures that it decodes; and
  /// skip_bad, of pictures in files of their own.
  bool decodes = false, skips_bad = false;
};

/// All readers; the first one that finds something in a directory reads it.
std::span<const DatasetReader> dataset_readers();

// One function per format, each in a file of its name.
std::vector<Table> read_idx_tables(const std::filesystem::path& path, const ImageOptions& = {});
std::vector<Table> read_npy_tables(const std::filesystem::path& path, const ImageOptions& = {});
std::vector<Table> read_cifar_tables(const std::filesystem::path& path,
                                     const ImageOptions& options);
std::vector<Table> read_image_tables(const std::filesystem::path& path,
                                     const ImageOptions& options);

// What readers that go by file names have in common.

/// The regular files of a directory, sorted by name; `path` itself where it is a file.
std::vector<std::filesystem::path> list_files(const std::filesystem::path& path);

/// What a file's name says it holds.
struct FileRole {
  std::string_view split;  // one of kSplitNames
  bool labels = false;     // labels, not rows
};

/// A split's files.
struct SplitFiles {
  std::string_view split;
  std::filesystem::path rows;
  std::filesystem::path labels;  // empty: none
};

/// Groups files by what their names say, leaving out those that say nothing and labels without
/// rows. Two files of the same role are a DataError.
std::vector<SplitFiles> group_by_split(const std::vector<std::filesystem::path>& files,
                                       std::optional<FileRole> (*role_of)(std::string_view name));

/// The split that a name used in file names ("t10k", "val", ...) stands for.
std::optional<std::string_view> split_of_alias(std::string_view alias);

/// Throws DataError where a label file does not hold one label for each of `rows` rows.
void check_label_shape(const SplitFiles& files, const Shape& labels, std::int64_t rows);

}  // namespace elbo
