// Directories that appear complete or not at all.
#pragma once

#include <filesystem>

namespace elbo {

/// A temporary directory beside a target that does not exist yet. Without commit() nothing remains
/// of it. Every failure is a DataError naming the target and the system's reason.
class StagedDirectory {
 public:
  /// Creates missing parents of the target.
  explicit StagedDirectory(const std::filesystem::path& target);
  ~StagedDirectory();
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Renames the directory to the target. Returns false if the target exists by now.
  bool commit();

 private:
  std::filesystem::path target_, path_;
};

}  // namespace elbo
