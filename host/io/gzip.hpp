// Inflates gzip data (RFC 1952). The caller determines the size, never the file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace elbo {

/// True if the bytes start as a gzip member does.
bool is_gzip(std::span<const std::byte> bytes);

/// No deflate stream expands by more than this: 258 bytes from two bits.
inline constexpr std::size_t kLargestInflation = 1032;

/// Reads gzip data in pieces. Concatenated members are one stream, as for gzip(1).
class GzipReader {
 public:
  /// `compressed` must outlive the reader; `path` is for messages only. Throws DataError if the
  /// data is not gzip.
  GzipReader(std::span<const std::byte> compressed, std::filesystem::path path);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// Fills `out` and returns the number of bytes read. Only when it returns fewer than requested is
  /// the data at its end and every checksum verified. Throws DataError if the data is truncated,
  /// damaged, or followed by bytes that are not gzip.
  std::size_t read(std::span<std::byte> out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
