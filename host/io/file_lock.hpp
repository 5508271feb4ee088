// A file that one process at a time holds.
#pragma once

#include <filesystem>

namespace elbo {

/// Holds the lock of a file as long as it lives; the system takes it back from a process that ends,
/// however that does, so that no lock outlives its holder.
class FileLock {
 public:
  FileLock() = default;  // of nothing
  /// Makes the file where it is missing and writes the process' number to it. Throws DataError
  /// where another process holds it, "PATH: MEANING (process N)", or the system refuses. File
  /// systems without locks are taken to be used by one process at a time.
  FileLock(const std::filesystem::path& path, const char* meaning);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  int descriptor_ = -1;
};

}  // namespace elbo
