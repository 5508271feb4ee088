// Data sets of official IDX files: {train,validation,test,t10k}-{images,labels}-idxN-ubyte[.gz].
#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "host/data/reader.hpp"
#include "host/io/idx.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kGzip = ".gz";

/// Removes `suffix` from the end of `text`, if present.
bool remove_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

/// "train-images-idx3-ubyte" and "train-images.idx3-ubyte", possibly gzipped.
std::optional<FileRole> role_of(std::string_view name) {
  remove_suffix(name, kGzip);
  if (!remove_suffix(name, "-ubyte")) return std::nullopt;
  while (!name.empty() && name.back() >= '0' && name.back() <= '9') name.remove_suffix(1);
  if (!remove_suffix(name, "-idx") && !remove_suffix(name, ".idx")) return std::nullopt;
  const bool labels = remove_suffix(name, "-labels");
  if (!labels && !remove_suffix(name, "-images")) return std::nullopt;
  const auto split = split_of_alias(name);
  if (!split) return std::nullopt;
  return FileRole{*split, labels};
}

/// Files without gzipped ones that also exist as raw files.
std::vector<fs::path> prefer_raw(std::vector<fs::path> files) {
  const std::vector<fs::path> all = files;
  std::erase_if(files, [&](const fs::path& file) {
    if (file.extension() != kGzip) return false;
    return std::ranges::binary_search(all, fs::path(file).replace_extension());
  });
  return files;
}

bool is_idx_name(const fs::path& file) {
  const std::string name = file.filename().string();
  std::string_view stem = name;
  remove_suffix(stem, kGzip);
  return stem.ends_with("-ubyte") || stem.ends_with(".idx");
}

}  // namespace

std::vector<Table> read_idx_tables(const fs::path& path, const ImageOptions&) {
  const std::vector<fs::path> files = prefer_raw(list_files(path));
  std::vector<SplitFiles> groups;
  if (fs::is_directory(path)) {
    groups = group_by_split(files, role_of);
  } else if (is_idx_name(path)) {
    groups = {{"train", path, {}}};
  }

  std::vector<Table> tables;
  for (const SplitFiles& group : groups) {
    IdxArray rows = open_idx(group.rows);
    Table table{std::string(group.split),
                group.rows.string(),
                std::move(rows.owner),
                rows.data,
                DType::u8,
                std::move(rows.shape),
                {}};
    if (!group.labels.empty()) {
      const IdxArray labels = open_idx(group.labels);
      check_label_shape(group, labels.shape, table.shape.front());
      table.labels.assign(labels.data, labels.data + labels.shape.front());
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace elbo
