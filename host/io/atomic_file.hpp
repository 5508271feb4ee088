// Files that appear complete or not at all, even after a crash or with a full disk.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace elbo {

/// Writes to a temporary file in the target's directory; commit() syncs it, renames it over the
/// target and syncs the directory. Without commit() the target is untouched and the temporary
/// file is removed. Every failure is a DataError naming the target and the system's reason.
class AtomicFile {
 public:
  /// `target`'s directory must exist. A symbolic link is followed, not replaced.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Overwrites the file's first bytes, which must have been written before.
  void rewrite_start(std::string_view text);
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Replaces `target` by a file with these bytes.
void write_file_atomically(const std::filesystem::path& target, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& target, std::string_view text);

/// A name in the target's directory that this process has not used yet.
std::filesystem::path temporary_beside(const std::filesystem::path& target);

/// Removes the temporary files of killed writers in a directory. No writer may be active.
void remove_abandoned_files(const std::filesystem::path& directory);

/// Syncs `path`'s directory, so that created, removed and renamed names survive a crash. Throws
/// DataError naming `path`.
void sync_directory_of(const std::filesystem::path& path);

}  // namespace elbo
