// CIFAR-10's binary batches: data_batch_1.bin to data_batch_5.bin, and test_batch.bin. A record is
// a label and 32 x 32 pixels, stored as red, green and blue planes.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "host/data/packed_cache.hpp"
#include "host/data/packing.hpp"
#include "host/data/reader.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/mapped_file.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kSide = 32, kPixels = kSide * kSide, kColours = 3;
constexpr std::int64_t kRecord = 1 + kColours * kPixels;
constexpr int kClasses = 10;

/// One file, mapped and checked.
struct Batch {
  std::string_view split;
  std::unique_ptr<const MappedFile> file;

  std::int64_t size() const { return static_cast<std::int64_t>(file->bytes().size()) / kRecord; }
  const std::byte* record(std::int64_t i) const { return file->bytes().data() + i * kRecord; }
};

std::optional<std::string_view> split_of_file(const fs::path& file) {
  const std::string name = file.filename().string();
  if (name == "test_batch.bin") return "test";
  if (name.starts_with("data_batch_") && name.ends_with(".bin")) return "train";
  return std::nullopt;
}

Batch open_batch(std::string_view split, const fs::path& path) {
  Batch batch{split, std::make_unique<const MappedFile>(path)};
  const std::size_t bytes = batch.file->bytes().size();
  if (bytes == 0 || bytes % kRecord != 0) {
    fail_file(path, formatted("{} bytes; expected a multiple of {}, a label and 32x32x3 values",
                              bytes, kRecord));
  }
  for (std::int64_t i = 0; i < batch.size(); ++i) {
    const int label = std::to_integer<int>(*batch.record(i));
    if (label >= kClasses) {
      fail_file(path, formatted("record {} has label {}; expected 0 to 9", i, label));
    }
  }
  return batch;
}

Image image_of(const std::byte* record) {
  Image image{kSide, kSide, kColours, {}};
  image.pixels.resize(kColours * kPixels);
  for (std::int64_t i = 0; i < kPixels; ++i) {
    for (std::int64_t c = 0; c < kColours; ++c) {
      image.pixels[static_cast<std::size_t>(i * kColours + c)] =
          std::to_integer<std::uint8_t>(record[1 + c * kPixels + i]);
    }
  }
  return image;
}

}  // namespace

std::vector<Table> read_cifar_tables(const fs::path& path, const ImageOptions& options) {
  std::vector<std::pair<std::string_view, fs::path>> files;
  PackedKey key("cifar-10", options);
  std::int64_t total = 0;
  for (const fs::path& file : list_files(path)) {
    const auto split = split_of_file(file);
    if (!split) continue;
    files.emplace_back(*split, file);
    const FileStamp stamp = stamp_of(file);
    key.add(file.filename().string());
    key.add(stamp);
    total += stamp.size / kRecord;
  }
  if (files.empty()) return {};
  // "data_batch_" sorts before "test_batch", as train does before test.

  return open_packed(key, path, options, [&](PackedWriter& writer) {
    const Shape shape = row_shape(fitted(PictureHeader{kSide, kSide, kColours}, options));
    const std::int64_t row_bytes = element_count(shape);
    writer.require_space(total * row_bytes);
    std::int64_t done = 0;
    const auto report = [&] {
      if (options.observer != nullptr) options.observer->on_progress(done, total);
    };
    report();
    std::string_view last;
    for (const auto& [split, file] : files) {
      const Batch batch = open_batch(split, file);
      if (split != std::exchange(last, split)) writer.begin_split(split, shape, true);
      const auto fill = [&](std::int64_t i, std::span<std::uint8_t> row) {
        std::ranges::copy(fitted(image_of(batch.record(i)), options).pixels, row.begin());
      };
      const auto take = [&](std::int64_t first, std::span<std::uint8_t> rows) {
        std::vector<std::int32_t> labels(rows.size() / static_cast<std::size_t>(row_bytes));
        for (std::size_t i = 0; i < labels.size(); ++i) {
          labels[i] =
              std::to_integer<std::int32_t>(*batch.record(first + static_cast<std::int64_t>(i)));
        }
        writer.append(rows, labels);
        done += std::ssize(labels);
        report();
      };
      for_each_block(batch.size(), row_bytes, packing_threads(options), fill, take);
    }
    return PackedManifest{path, total, {}, {}};
  });
}

}  // namespace elbo
