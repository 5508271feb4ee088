// The bytes of a file, mapped read-only, so that large data sets take no memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace elbo {

class MappedFile {
 public:
  /// Maps the whole file. Throws DataError if it is missing, unreadable or no regular file.
  /// The file must not shrink while it is mapped, nor its disk fail: the kernel would raise SIGBUS.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The path of the file mapped at an address, or null if none is known: for the handler of a
/// SIGBUS, which may call it.
const char* mapped_path_at(const void* address) noexcept;

}  // namespace elbo
