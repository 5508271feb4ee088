// Decoded pictures on disk. An entry of the cache is a directory that any tool can read:
//
//   KEY/train.npy          u8 [rows, height, width(, 3)]; likewise validation.npy and test.npy
//   KEY/train_labels.npy   i32 [rows], if there are labels
//   KEY/manifest.json      source folder, names of the classes, pictures that were left out
//
// An entry is written under a temporary name and renamed when it is complete, so that a named entry
// is never partial, and processes that write the same entry do not interfere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/picture_list.hpp"
#include "host/data/reader.hpp"
#include "host/io/fnv.hpp"
#include "host/io/npy.hpp"

namespace elbo {

/// The name of an entry: a hash of everything that its content depends on. The folder's path is not
/// part of it.
class PackedKey {
 public:
  /// `kind` distinguishes readers. Only options that change rows are included.
  PackedKey(std::string_view kind, const ImageOptions& options);

  void add(std::string_view text);
  void add(const FileStamp& stamp);
  std::string name() const;  // 32 hexadecimal digits

 private:
  void add_number(std::uint64_t number);

  Fnv128 hash_;
};

/// Content of an entry's manifest.
struct PackedManifest {
  std::filesystem::path source;      // the folder of the pictures
  std::int64_t pictures = 0;         // in the folder: rows and bad ones
  std::vector<std::string> classes;  // by label; may be none
  std::vector<BadPicture> left_out;
};

/// Writes an entry. Without commit() nothing remains of it, nor of a cache directory that it
/// created.
class PackedWriter {
 public:
  /// Throws DataError naming the directory if the cache cannot be made or written to.
  PackedWriter(const std::filesystem::path& cache, const std::string& name);
  ~PackedWriter();
  PackedWriter(const PackedWriter&) = delete;
  PackedWriter& operator=(const PackedWriter&) = delete;

  /// Throws DataError if the file system has less than that many bytes left.
  void require_space(std::int64_t bytes) const;

  /// Ends the previous split and begins one whose rows have this shape.
  void begin_split(std::string_view split, const Shape& sample_shape, bool labelled);
  /// Appends rows to the split; `labels` contains one per row, or is empty.
  void append(std::span<const std::uint8_t> rows, std::span<const std::int32_t> labels);

  /// Renames the entry to its name. If another process was faster, that process's entry stays.
  void commit(const PackedManifest& manifest);

 private:
  void end_split();

  struct Split {
    std::string_view name;
    Shape shape;  // [rows, sample shape...]
    bool labelled;
  };

  std::filesystem::path cache_, entry_, directory_;  // directory_ is renamed to entry_
  std::vector<std::filesystem::path> made_;          // created directories, the innermost first
  std::vector<Split> splits_;
  std::optional<NpyWriter> rows_, labels_;  // of the current split
};

/// Returns the tables of entry `key`, memory-mapped, with `source` as their source. If the entry is
/// missing or damaged, `pack` first writes it anew. Then calls options.observer->on_opened().
/// Throws ConfigError if there is no directory for a cache, DataError if the entry cannot be made,
/// and every exception of `pack`.
std::vector<Table> open_packed(const PackedKey& key, const std::filesystem::path& source,
                               const ImageOptions& options,
                               const std::function<PackedManifest(PackedWriter&)>& pack);

}  // namespace elbo
