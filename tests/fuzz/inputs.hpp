// Inputs as files, and files as inputs.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "tests/fuzz/target.hpp"

namespace elbo::fuzz {

/// A file in memory, for parsers that open files.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes content) : descriptor_(::memfd_create("input", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw std::runtime_error("memfd_create failed");
    const auto size = static_cast<ssize_t>(content.size());
    if (::write(descriptor_, content.data(), content.size()) != size)
      throw std::runtime_error("cannot write to memory");
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// An empty directory, in memory if the system supports it.
class Scratch {
 public:
  Scratch() {
    std::error_code error;
    const bool memory = std::filesystem::is_directory("/dev/shm", error);
    std::string name = memory ? "/dev/shm" : std::filesystem::temp_directory_path().string();
    name += "/elbo-fuzz-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(std::string_view name, Bytes content) const {
    const std::filesystem::path file = path_ / name;
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(content.data()),
               static_cast<std::streamsize>(content.size()));
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The content that write(path) writes to a file.
template <class Write>
std::string file_of(Write&& write) {
  const Scratch scratch;
  const std::filesystem::path path = scratch.path() / "file";
  write(path);
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A safetensors file without its checksum, which would reject every mutation before the parser:
/// the key is replaced by one of the same length.
inline std::string unchecked(std::string file) {
  constexpr std::string_view kKey = "\"checksum\"";
  if (const std::size_t at = file.find(kKey); at != std::string::npos)
    file.replace(at, kKey.size(), "\"unsummed\"");
  return file;
}

/// Reads all bytes, so that a sanitizer reports invalid ranges.
inline void touch(Bytes bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  [[maybe_unused]] volatile unsigned seen = sum;
}

}  // namespace elbo::fuzz
