// Converts decoded pictures to rows of an entry, in parallel and in order.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "host/data/image_options.hpp"
#include "host/io/image.hpp"
#include "host/io/shape.hpp"

namespace elbo {

/// [height, width], or [height, width, 3].
Shape row_shape(const PictureHeader& header);

/// The header of a picture after the options' size and channels are applied.
PictureHeader fitted(PictureHeader header, const ImageOptions& options);

/// The picture after the options are applied.
Image fitted(Image image, const ImageOptions& options);

/// Threads that work on pictures, at least 1.
int packing_threads(const ImageOptions& options);

/// Calls body(i) for 0 ≤ i < count on `threads` threads, in any order. If bodies throw, one of the
/// exceptions is rethrown after all others have finished.
void for_each_at_once(std::int64_t count, int threads,
                      const std::function<void(std::int64_t)>& body);

/// Produces `count` rows of `row_bytes` bytes in batches of bounded memory: fill(i, row) writes row
/// i, on any thread; then take(first, rows) receives the rows from `first` on, in order, and may
/// overwrite them.
void for_each_block(std::int64_t count, std::int64_t row_bytes, int threads,
                    const std::function<void(std::int64_t, std::span<std::uint8_t>)>& fill,
                    const std::function<void(std::int64_t, std::span<std::uint8_t>)>& take);

}  // namespace elbo
