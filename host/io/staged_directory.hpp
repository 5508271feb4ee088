// Directories that appear with everything in them or not at all.
#pragma once

#include <filesystem>

namespace elbo {

/// A temporary directory beside a target that does not exist yet. Without commit() nothing stays of
/// it. Every failure is a DataError naming the target and the system's reason.
class StagedDirectory {
 public:
  /// Makes the target's parents where they are missing.
  explicit StagedDirectory(const std::filesystem::path& target);
  ~StagedDirectory();
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Gives it the target's name, for good; false where something has that name by now.
  bool commit();

 private:
  std::filesystem::path target_, path_;
};

}  // namespace elbo
