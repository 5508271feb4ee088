// From decoded pictures to rows of an entry: many at once, in order, some at a time.
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

/// What becomes of a picture of that header: its size and channels as the options have them.
PictureHeader fitted(PictureHeader header, const ImageOptions& options);

/// The same of a picture itself.
Image fitted(Image image, const ImageOptions& options);

/// Threads that work on pictures, at least 1.
int packing_threads(const ImageOptions& options);

/// Calls body(i) for 0 ≤ i < count on `threads` threads, in any order. What a body throws is
/// thrown here, one of them where there are several, after all others are done.
void for_each_at_once(std::int64_t count, int threads,
                      const std::function<void(std::int64_t)>& body);

/// Makes `count` rows of `row_bytes` bytes, as many at a time as fit some memory: fill(i, row)
/// writes row i, on any thread; then take(first, rows) gets those from `first` on, in order, and
/// may write over them.
void for_each_block(std::int64_t count, std::int64_t row_bytes, int threads,
                    const std::function<void(std::int64_t, std::span<std::uint8_t>)>& fill,
                    const std::function<void(std::int64_t, std::span<std::uint8_t>)>& take);

}  // namespace elbo
