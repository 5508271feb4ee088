#include "host/io/idx.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "host/io/atomic_file.hpp"
#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "host/io/gzip.hpp"
#include "host/io/mapped_file.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLongestHeader = 4 + 4 * kMostDimensions;
constexpr unsigned kUnsignedByte = 0x08;

struct Header {
  Shape shape;
  std::size_t data_offset;
  std::size_t file_size;  // of header and data
};

std::string hex(unsigned value) { return formatted("0x{:02x}", value & 0xffU); }

/// `start`: the first bytes of the file, at most kLongestHeader.
Header parse_header(std::span<const std::byte> start, const fs::path& path) {
  const auto byte_at = [&](std::size_t i) { return std::to_integer<unsigned>(start[i]); };
  if (start.size() < 4) fail_file(path, "truncated in its IDX header");
  if (byte_at(0) != 0 || byte_at(1) != 0) {
    fail_file(path, formatted("wrong magic: starts with {} {}; an IDX file starts with 0x00 0x00",
                              hex(byte_at(0)), hex(byte_at(1))));
  }
  if (byte_at(2) != kUnsignedByte) {
    fail_file(path, "IDX element type " + hex(byte_at(2)) + "; expected 0x08 (unsigned byte)");
  }
  const std::size_t rank = byte_at(3);
  if (rank == 0 || rank > kMostDimensions) {
    fail_file(path, formatted("IDX rank {}; expected 1 to {} dimensions", rank, kMostDimensions));
  }

  Header header{Shape(rank), 4 + 4 * rank, 0};
  if (start.size() < header.data_offset) fail_file(path, "truncated in its IDX header");
  for (std::size_t i = 0; i < rank; ++i) {
    for (std::size_t k = 0; k < 4; ++k) {
      header.shape[i] = header.shape[i] << 8 | byte_at(4 + 4 * i + k);
    }
  }
  const std::optional<std::size_t> data_size = checked_bytes(header.shape, 1);
  if (!data_size) fail_file(path, "IDX shape " + to_string(header.shape) + " overflows 63 bits");
  header.file_size = header.data_offset + *data_size;
  return header;
}

[[noreturn]] void fail_truncated(const fs::path& path, const Header& header,
                                 const std::string& present) {
  fail_file(path, formatted("truncated: IDX shape {} needs {} bytes, {}", to_string(header.shape),
                            header.file_size, present));
}

[[noreturn]] void fail_oversized(const fs::path& path, const Header& header,
                                 const std::string& present) {
  fail_file(path, formatted("oversized: IDX shape {} needs {} bytes, {}", to_string(header.shape),
                            header.file_size, present));
}

IdxArray inflate_idx(std::span<const std::byte> compressed, const fs::path& path) {
  GzipReader reader(compressed, path);
  std::array<std::byte, kLongestHeader> start;
  const std::size_t start_size = reader.read(start);
  Header header = parse_header(std::span(start).first(start_size), path);

  // Checks the size in the header before allocating it:
  if (header.file_size / kLargestInflation > compressed.size()) {
    fail_truncated(path, header,
                   formatted("which {} bytes of gzip data cannot hold", compressed.size()));
  }
  if (start_size > header.file_size) fail_oversized(path, header, "more are there");
  // Not value-initialised: every byte is about to be written.
  std::shared_ptr<std::byte[]> bytes(new (std::nothrow) std::byte[header.file_size]);
  if (bytes == nullptr) {
    fail_file(path, formatted("inflates to {} bytes, more than memory has room for; gunzip makes a "
                              "file that is read in place",
                              header.file_size));
  }
  const std::span all(bytes.get(), header.file_size);
  std::copy_n(start.begin(), start_size, all.begin());
  const std::size_t size = start_size + reader.read(all.subspan(start_size));
  if (size < all.size()) fail_truncated(path, header, std::to_string(size) + " are there");
  // Requesting one more byte makes the reader verify the checksum.
  std::byte extra;
  if (reader.read({&extra, 1}) != 0) fail_oversized(path, header, "more are there");

  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.get()) + header.data_offset;
  return {std::move(header.shape), std::move(bytes), data};
}

}  // namespace

IdxArray open_idx(const fs::path& path) {
  auto file = std::make_shared<const MappedFile>(path);
  const std::span bytes = file->bytes();
  if (path.extension() == ".gz" || is_gzip(bytes)) return inflate_idx(bytes, path);

  Header header = parse_header(bytes.first(std::min(bytes.size(), kLongestHeader)), path);
  const std::string present = std::to_string(bytes.size()) + " are there";
  if (bytes.size() < header.file_size) fail_truncated(path, header, present);
  if (bytes.size() > header.file_size) fail_oversized(path, header, present);
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data()) + header.data_offset;
  return {std::move(header.shape), std::move(file), data};
}

void write_idx(const fs::path& path, const Shape& shape, std::span<const std::uint8_t> values) {
  ELBO_ASSERT(!shape.empty() && shape.size() <= 255);
  ELBO_ASSERT(checked_bytes(shape, 1) == values.size());
  std::string header = {'\0', '\0', static_cast<char>(kUnsignedByte),
                        static_cast<char>(shape.size())};
  for (std::int64_t extent : shape) {
    ELBO_ASSERT(std::in_range<std::uint32_t>(extent));
    for (int shift = 24; shift >= 0; shift -= 8)
      header += static_cast<char>(extent >> shift & 0xff);
  }
  AtomicFile file(path);
  file.write(header);
  file.write(std::as_bytes(values));
  file.commit();
}

}  // namespace elbo
