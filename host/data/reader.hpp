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
  std::string source;                 // the source of the rows, for messages
  std::shared_ptr<const void> owner;  // keeps `rows` alive
  const void* rows = nullptr;         // C order
  DType dtype = DType::f32;
  Shape shape;                       // [rows, sample shape...]
  std::vector<std::int32_t> labels;  // one per row, or none
};

inline constexpr std::string_view kSplitNames[] = {"train", "validation", "test"};

struct DatasetReader {
  std::string_view name;     // for `elbo list`
  std::string_view expects;  // the file names it recognises, for error messages
  /// The tables of a directory or of a single file, at most one per split; none if the path
  /// holds nothing of this format. Throws DataError if it does and something is wrong with it.
  std::vector<Table> (*read)(const std::filesystem::path& path, const ImageOptions& options);
  /// Options that `read` uses: size, channels and cache for decoded pictures; skip_bad for pictures
  /// in separate files.
  bool decodes = false, skips_bad = false;
};

/// All readers; the first that finds data in a directory reads it.
std::span<const DatasetReader> dataset_readers();

// One function per format, each in its own file.
std::vector<Table> read_idx_tables(const std::filesystem::path& path, const ImageOptions& = {});
std::vector<Table> read_npy_tables(const std::filesystem::path& path, const ImageOptions& = {});
std::vector<Table> read_cifar_tables(const std::filesystem::path& path,
                                     const ImageOptions& options);
std::vector<Table> read_image_tables(const std::filesystem::path& path,
                                     const ImageOptions& options);

// Common code of readers that use file names.

/// The regular files of a directory, sorted by name; `path` itself if it is a file.
std::vector<std::filesystem::path> list_files(const std::filesystem::path& path);

/// The role of a file by its name.
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

/// Groups files by their roles, without files of no role and labels without rows. Two files of the
/// same role are a DataError.
std::vector<SplitFiles> group_by_split(const std::vector<std::filesystem::path>& files,
                                       std::optional<FileRole> (*role_of)(std::string_view name));

/// The split of a name in file names ("t10k", "val", ...).
std::optional<std::string_view> split_of_alias(std::string_view alias);

/// Throws DataError if a label file does not contain one label for each of `rows` rows.
void check_label_shape(const SplitFiles& files, const Shape& labels, std::int64_t rows);

}  // namespace elbo
