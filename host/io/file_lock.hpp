// A file that one process at a time can lock.
#pragma once

#include <filesystem>

namespace elbo {

/// Holds the lock of a file during its lifetime. The system releases the lock of a process that
/// ends in any way.
class FileLock {
 public:
  FileLock() = default;  // locks nothing
  /// Creates the file where it is missing and writes the process' number to it. Throws DataError
  /// where another process holds it, "PATH: MEANING (process N)", or the system refuses. On file
  /// systems without locks, one process at a time is assumed.
  FileLock(const std::filesystem::path& path, const char* meaning);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  int descriptor_ = -1;
};

}  // namespace elbo
