// IDX files (MNIST's format): unsigned bytes, raw or gzipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "host/io/shape.hpp"

namespace elbo {

struct IdxArray {
  Shape shape;                        // rank >= 1; extents may be 0
  std::shared_ptr<const void> owner;  // keeps `data` alive
  const std::uint8_t* data;           // C order
};

/// Opens an IDX file of element type 0x08 (unsigned byte). A raw file is memory-mapped; a file that
/// starts like gzip data or is named *.gz is inflated to memory, at most kLargestInflation times
/// its size. Throws DataError if the file is missing, malformed, or does not have exactly the
/// length that its header states.
IdxArray open_idx(const std::filesystem::path& path);

/// Writes a raw IDX file (atomically). `values` contains exactly the elements of `shape`, and every
/// extent fits 32 bits.
void write_idx(const std::filesystem::path& path, const Shape& shape,
               std::span<const std::uint8_t> values);

}  // namespace elbo
