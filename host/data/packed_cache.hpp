// Decoded pictures on disk. An entry of the cache is a directory that any tool can read:
//
//   KEY/train.npy          u8 [rows, height, width(, 3)]; likewise validation.npy and test.npy
//   KEY/train_labels.npy   i32 [rows], where there are labels
//   KEY/manifest.json      where they come from, the names of the classes, what was left out
//
// It is made under another name and renamed when it is whole, so that one that has its name is
// never half an entry, and processes that make the same one do not meet.
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

/// The name of an entry: a hash of all that its content depends on. The folder's own place is not
/// part of it.
class PackedKey {
 public:
  /// `kind` tells readers apart. Of the options, those that change rows are taken.
  PackedKey(std::string_view kind, const ImageOptions& options);

  void add(std::string_view text);
  void add(const FileStamp& stamp);
  std::string name() const;  // 32 hexadecimal digits

 private:
  void add_number(std::uint64_t number);

  Fnv128 hash_;
};

/// What an entry's manifest says of the pictures beside their arrays.
struct PackedManifest {
  std::filesystem::path source;      // the folder they lay in
  std::int64_t pictures = 0;         // there: rows and bad ones
  std::vector<std::string> classes;  // by label; may be none
  std::vector<BadPicture> left_out;
};

/// Writes an entry. Without commit() nothing stays of it, nor of a cache it made for it.
class PackedWriter {
 public:
  /// Throws DataError naming the directory where the cache cannot be made or written to.
  PackedWriter(const std::filesystem::path& cache, const std::string& name);
  ~PackedWriter();
  PackedWriter(const PackedWriter&) = delete;
  PackedWriter& operator=(const PackedWriter&) = delete;

  /// Throws DataError where the file system has less than that many bytes left.
  void require_space(std::int64_t bytes) const;

  /// Begins a split whose rows have this shape, and with it ends the one before.
  void begin_split(std::string_view split, const Shape& sample_shape, bool labelled);
  /// Appends rows to the split; `labels` holds one for each, or none where it has none.
  void append(std::span<const std::uint8_t> rows, std::span<const std::int32_t> labels);

  /// Gives the entry its name. Where another process was faster, its entry stays.
  void commit(const PackedManifest& manifest);

 private:
  void end_split();

  struct Split {
    std::string_view name;
    Shape shape;  // [rows, sample shape...]
    bool labelled;
  };

  std::filesystem::path cache_, entry_, directory_;  // of what is written, renamed to `entry_`
  std::vector<std::filesystem::path> made_;  // directories that had to be, the innermost first
  std::vector<Split> splits_;
  std::optional<NpyWriter> rows_, labels_;  // of the last one
};

/// The tables of entry `key`, memory-mapped, with `source` named as theirs. Where there is no such
/// entry, or it is damaged, it is made anew of what `pack` writes. Tells options.observer of both.
/// Throws ConfigError where there is no place for a cache, DataError where the entry cannot be
/// made, and what `pack` throws.
std::vector<Table> open_packed(const PackedKey& key, const std::filesystem::path& source,
                               const ImageOptions& options,
                               const std::function<PackedManifest(PackedWriter&)>& pack);

}  // namespace elbo
