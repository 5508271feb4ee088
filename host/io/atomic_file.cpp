#include "host/io/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

fs::path directory_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

fs::path resolve(const fs::path& target) {
  std::error_code error;
  if (!fs::exists(target, error)) return target;
  if (!fs::is_regular_file(target, error)) fail_file(target, "exists and is not a regular file");
  if (!fs::is_symlink(target, error)) return target;
  const fs::path resolved = fs::canonical(target, error);
  if (error) fail_system(target, "follow the link", error.value());
  return resolved;
}

constexpr std::string_view kTemporaryStart = ".elbo-", kTemporaryEnd = ".tmp";

}  // namespace

// The name is short for any target, so that a legal target never makes it too long.
fs::path temporary_beside(const fs::path& target) {
  static std::atomic<unsigned> counter{0};
  return directory_of(target) /
         formatted("{}{}-{}{}", kTemporaryStart, ::getpid(), counter.fetch_add(1), kTemporaryEnd);
}

void sync_directory_of(const fs::path& path) {
  const int descriptor = ::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_system(path, "open its directory", errno);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some file systems cannot sync a directory and say so with EINVAL.
  if (error != 0 && error != EINVAL) fail_system(path, "sync its directory", error);
}

AtomicFile::AtomicFile(const fs::path& target) : target_(resolve(target)) {
  do {
    temporary_ = temporary_beside(target_);
    // Mode 0666 minus the umask, like an ordinary file (mkstemp would use 0600).
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) fail_system(target_, "create", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_system(target_, "write", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::rewrite_start(std::string_view text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written =
        ::pwrite(descriptor_, text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (written < 0 && errno != EINTR) fail_system(target_, "write", errno);
    if (written > 0) done += static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_system(target_, "sync", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_system(target_, "close", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_system(target_, "rename", errno);
  temporary_.clear();
  sync_directory_of(target_);
}

void remove_abandoned_files(const fs::path& directory) {
  std::error_code ignored;
  std::vector<fs::path> abandoned;
  for (fs::directory_iterator entry(directory, ignored), end; entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(kTemporaryStart) && name.ends_with(kTemporaryEnd))
      abandoned.push_back(entry->path());
  }
  for (const fs::path& file : abandoned) fs::remove(file, ignored);
}

void write_file_atomically(const fs::path& target, std::span<const std::byte> bytes) {
  AtomicFile file(target);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const fs::path& target, std::string_view text) {
  write_file_atomically(target, std::as_bytes(std::span(text)));
}

}  // namespace elbo
