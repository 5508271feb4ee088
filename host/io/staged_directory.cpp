#include "host/io/staged_directory.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"

namespace elbo {
namespace fs = std::filesystem;

StagedDirectory::StagedDirectory(const fs::path& target) : target_(target) {
  std::error_code error;
  if (target.has_parent_path()) fs::create_directories(target.parent_path(), error);
  if (error) fail_system(target, "create", error.value());
  fs::path made;
  do {
    made = temporary_beside(target_);
    errno = 0;
  } while (::mkdir(made.c_str(), 0777) != 0 && errno == EEXIST);
  if (errno != 0) fail_system(target, "create", errno);
  path_ = made;
}

StagedDirectory::~StagedDirectory() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

bool StagedDirectory::commit() {
  if (::rename(path_.c_str(), target_.c_str()) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) return false;
    fail_system(target_, "rename", errno);
  }
  path_.clear();
  sync_directory_of(target_);
  return true;
}

}  // namespace elbo
