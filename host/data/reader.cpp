#include "host/data/reader.hpp"

#include <algorithm>
#include <array>
#include <system_error>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::array kReaders = {
    DatasetReader{"idx", "train-images-idx3-ubyte[.gz]", read_idx_tables},
    DatasetReader{"npy", "train.npy, train_images.npy, x_train.npy or a single .npy file",
                  read_npy_tables},
    DatasetReader{"cifar-10", "data_batch_1.bin, test_batch.bin", read_cifar_tables, true},
    DatasetReader{"images",
                  ".png and .jpg pictures, alone or in train/, test/ and class directories",
                  read_image_tables, true, true},
};

struct Alias {
  std::string_view name;
  std::string_view split;
};

constexpr std::array kAliases = {
    Alias{"train", "train"},      Alias{"validation", "validation"},
    Alias{"valid", "validation"}, Alias{"val", "validation"},
    Alias{"test", "test"},        Alias{"t10k", "test"},
};

}  // namespace

std::span<const DatasetReader> dataset_readers() { return kReaders; }

std::vector<fs::path> list_files(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return {path};
  std::vector<fs::path> files;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code broken_link;
    if (it->is_regular_file(broken_link)) files.push_back(it->path());
  }
  if (error) fail_system(path, "list", error.value());
  std::ranges::sort(files);
  return files;
}

std::optional<std::string_view> split_of_alias(std::string_view alias) {
  const auto found = std::ranges::find(kAliases, alias, &Alias::name);
  if (found == kAliases.end()) return std::nullopt;
  return found->split;
}

std::vector<SplitFiles> group_by_split(const std::vector<fs::path>& files,
                                       std::optional<FileRole> (*role_of)(std::string_view name)) {
  std::vector<SplitFiles> groups;
  for (std::string_view split : kSplitNames) {
    SplitFiles group{split, {}, {}};
    for (const fs::path& file : files) {
      const std::optional<FileRole> role = role_of(file.filename().string());
      if (!role || role->split != split) continue;
      fs::path& place = role->labels ? group.labels : group.rows;
      if (!place.empty()) {
        fail_file(file, "holds the same as " + in_quotes(place.filename().string()) + ", the " +
                            (role->labels ? "labels" : "rows") + " of split " + std::string(split) +
                            "; expected one of the two");
      }
      place = file;
    }
    if (!group.rows.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

void check_label_shape(const SplitFiles& files, const Shape& labels, std::int64_t rows) {
  const std::int64_t count = labels.front();
  if (element_count(labels) != count) {
    fail_file(files.labels,
              formatted("labels of shape {}; expected one per row", to_string(labels)));
  }
  if (count != rows) {
    fail_file(files.labels,
              formatted("{} labels for the {} rows of {}", count, rows, files.rows.string()));
  }
}

}  // namespace elbo
