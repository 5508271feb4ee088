// Data sets of .npy files: {train,validation,valid,val,test}, alone or with _images or x_, labels
// with _labels or y_; or a single .npy file with any other name.
#include <string>
#include <utility>

#include "host/data/reader.hpp"
#include "host/io/file_error.hpp"
#include "host/io/npy.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kExtension = ".npy";

struct NamePattern {
  std::string_view prefix;
  std::string_view suffix;
  bool labels;
};

constexpr NamePattern kPatterns[] = {
    {"", "", false},       {"", "_images", false}, {"", "-images", false},
    {"x_", "", false},     {"X_", "", false},      {"", "_labels", true},
    {"", "-labels", true}, {"y_", "", true},       {"Y_", "", true},
};

/// The text between a pattern's prefix and suffix in a stem, or nothing.
std::optional<std::string_view> match(std::string_view stem, const NamePattern& pattern) {
  if (stem.size() < pattern.prefix.size() + pattern.suffix.size()) return std::nullopt;
  if (!stem.starts_with(pattern.prefix) || !stem.ends_with(pattern.suffix)) return std::nullopt;
  stem.remove_prefix(pattern.prefix.size());
  stem.remove_suffix(pattern.suffix.size());
  return stem;
}

std::optional<FileRole> role_of(std::string_view name) {
  if (!name.ends_with(kExtension)) return std::nullopt;
  name.remove_suffix(kExtension.size());
  for (const NamePattern& pattern : kPatterns) {
    const auto alias = match(name, pattern);
    const auto split = alias ? split_of_alias(*alias) : std::nullopt;
    if (split) return FileRole{*split, pattern.labels};
  }
  return std::nullopt;
}

bool is_label_name(std::string_view stem) {
  if (stem == "labels") return true;
  for (const NamePattern& pattern : kPatterns) {
    if (pattern.labels && match(stem, pattern)) return true;
  }
  return false;
}

/// The only .npy file of a directory that does not contain labels, as "train".
std::vector<SplitFiles> single_file(const fs::path& directory, const std::vector<fs::path>& files) {
  SplitFiles group{"train", {}, {}};
  for (const fs::path& file : files) {
    if (file.extension() != kExtension) continue;
    fs::path& place = is_label_name(file.stem().string()) ? group.labels : group.rows;
    if (!place.empty()) {
      fail_file(directory, "several .npy files (" + in_quotes(place.filename().string()) + ", " +
                               in_quotes(file.filename().string()) +
                               ") and none named for a split; expected train.npy, test.npy, "
                               "or a path to one file");
    }
    place = file;
  }
  if (group.rows.empty()) return {};
  return {std::move(group)};
}

DType row_dtype(NpyType type, const fs::path& path) {
  switch (type) {
    case NpyType::u8:
      return DType::u8;
    case NpyType::f32:
      return DType::f32;
    case NpyType::f64:
      return DType::f64;
    default:
      break;
  }
  fail_file(path, std::string("dtype ") + descr_of(type) + "; expected |u1, <f4 or <f8");
}

}  // namespace

std::vector<Table> read_npy_tables(const fs::path& path, const ImageOptions&) {
  const std::vector<fs::path> files = list_files(path);
  std::vector<SplitFiles> groups;
  if (fs::is_directory(path)) {
    groups = group_by_split(files, role_of);
    if (groups.empty()) groups = single_file(path, files);
  } else if (path.extension() == kExtension) {
    groups = {{"train", path, {}}};
  }

  std::vector<Table> tables;
  for (const SplitFiles& group : groups) {
    NpyArray rows = open_npy(group.rows);
    const DType dtype = row_dtype(rows.type, group.rows);
    Table table{std::string(group.split),
                group.rows.string(),
                std::move(rows.owner),
                rows.data,
                dtype,
                std::move(rows.shape),
                {}};
    if (!group.labels.empty()) {
      const NpyArray labels = open_npy(group.labels);
      check_label_shape(group, labels.shape, table.shape.front());
      table.labels = to_integers(labels, group.labels);
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace elbo
