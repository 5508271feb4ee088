#include "host/io/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"

namespace elbo {

FileLock::FileLock(const std::filesystem::path& path, const char* meaning) {
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_system(path, "open", errno);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    char holder[16] = {};
    const ssize_t length = ::read(descriptor_, holder, sizeof holder - 1);
    ::close(std::exchange(descriptor_, -1));
    std::string number(holder, length > 0 ? static_cast<std::size_t>(length) : 0);
    std::erase_if(number, [](char c) { return c < '0' || c > '9'; });
    fail_file(path,
              std::string(meaning) + (number.empty() ? "" : formatted(" (process {})", number)));
  }
  // The number is only for people; the lock does not need it.
  const std::string number = std::to_string(::getpid());
  if (::ftruncate(descriptor_, 0) == 0)
    static_cast<void>(::pwrite(descriptor_, number.data(), number.size(), 0) == 0);
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

}  // namespace elbo
