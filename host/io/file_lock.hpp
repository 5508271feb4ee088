// A file that one process at a time can lock.
#pragma once

#include <filesystem>

namespace elbo {

/// Holds the lock of a file during its lifetime. The system releases the lock of a process that
/// ends in any way.
class FileLock {
 public:
  FileLock() = default;  // locks nothing
  /// Creates the file if it is missing and writes the process ID to it. Throws DataError if another
  /// process holds the lock ("PATH: MEANING (process N)"), or if the file cannot be opened. On file
  /// systems without locks, one process at a time is assumed.
  FileLock(const std::filesystem::path& path, const char* meaning);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  int descriptor_ = -1;
};

}  // namespace elbo
