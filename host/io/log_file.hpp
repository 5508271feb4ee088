// Files that grow line by line, each of them whole.
#pragma once

#include <filesystem>
#include <string_view>

namespace elbo {

/// A file opened for appending, made where it is missing. Every failure is a DataError naming it.
class LogFile {
 public:
  LogFile() = default;  // none
  explicit LogFile(const std::filesystem::path& path);
  ~LogFile();
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&& other) noexcept;

  /// Appends a line, without its end. Killed at any time, the process leaves at most the last line
  /// unfinished.
  void append(std::string_view line);
  /// Makes what was appended last through a crash.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace elbo
