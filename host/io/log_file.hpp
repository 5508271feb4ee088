// Files that grow by whole lines.
#pragma once

#include <filesystem>
#include <string_view>

namespace elbo {

/// A file opened for appending, created if it is missing. Every failure is a DataError naming it.
class LogFile {
 public:
  LogFile() = default;  // none
  explicit LogFile(const std::filesystem::path& path);
  ~LogFile();
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&& other) noexcept;

  /// Appends a line, without its end. If the process is killed, at most the last line is
  /// incomplete.
  void append(std::string_view line);
  /// Flushes appended data to disk (fsync).
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace elbo
