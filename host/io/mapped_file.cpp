#include "host/io/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include "host/io/file_error.hpp"

namespace elbo {
namespace {

struct Descriptor {
  int number;
  ~Descriptor() { ::close(number); }
};

/// Mappings by address, in a form that a signal handler may read. Mappings beyond its capacity are
/// not listed.
struct Mapping {
  std::atomic<std::uintptr_t> begin{0}, end{0};  // end 0: free; 1: being filled in
  std::atomic<const char*> path{nullptr};
};
std::array<Mapping, 256> mappings;

void remember(const void* begin, std::size_t size, const char* path) {
  for (Mapping& mapping : mappings) {
    std::uintptr_t free = 0;
    if (!mapping.end.compare_exchange_strong(free, 1)) continue;
    mapping.begin = reinterpret_cast<std::uintptr_t>(begin);
    mapping.path = path;
    mapping.end = mapping.begin + size;
    return;
  }
}

void forget(const void* begin) {
  for (Mapping& mapping : mappings)
    if (mapping.end > 1 && mapping.begin == reinterpret_cast<std::uintptr_t>(begin)) {
      mapping.begin = 0;
      mapping.end = 0;
      return;
    }
}

}  // namespace

const char* mapped_path_at(const void* address) noexcept {
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  for (const Mapping& mapping : mappings)
    if (mapping.begin <= place && place < mapping.end) return mapping.path;
  return nullptr;
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a FIFO by mistake must fail below instead of waiting for a writer.
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (number < 0) fail_system(path, "open", errno);
  const Descriptor file{number};

  struct stat status {};
  if (::fstat(file.number, &status) != 0) fail_system(path, "examine", errno);
  if (!S_ISREG(status.st_mode)) fail_file(path, "is not a regular file");

  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;  // an empty mapping is an error to mmap, not to us
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (address == MAP_FAILED) fail_system(path, "map into memory", errno);
  data_ = static_cast<const std::byte*>(address);
  remember(data_, size_, path_.c_str());
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace elbo
