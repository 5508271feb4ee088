#include "host/data/packing.hpp"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

namespace elbo {

Shape row_shape(const PictureHeader& header) {
  Shape shape = {header.height, header.width};
  if (header.channels == 3) shape.push_back(3);
  return shape;
}

PictureHeader fitted(PictureHeader header, const ImageOptions& options) {
  if (options.size > 0) header.height = header.width = options.size;
  if (options.channels == ImageChannels::grey) header.channels = 1;
  if (options.channels == ImageChannels::rgb) header.channels = 3;
  return header;
}

Image fitted(Image image, const ImageOptions& options) {
  if (options.channels == ImageChannels::grey) image = to_grey(std::move(image));
  if (options.size > 0) image = fitted_square(std::move(image), options.size);
  if (options.channels == ImageChannels::rgb) image = to_rgb(std::move(image));
  return image;
}

int packing_threads(const ImageOptions& options) {
  return std::max(1, options.threads > 0 ? options.threads : omp_get_max_threads());
}

void for_each_at_once(std::int64_t count, int threads,
                      const std::function<void(std::int64_t)>& body) {
  std::exception_ptr thrown;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (std::int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical(elbo_packing)
      thrown = std::current_exception();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

void for_each_block(std::int64_t count, std::int64_t row_bytes, int threads,
                    const std::function<void(std::int64_t, std::span<std::uint8_t>)>& fill,
                    const std::function<void(std::int64_t, std::span<std::uint8_t>)>& take) {
  constexpr std::int64_t kMostRows = 512;
  constexpr std::int64_t kMostBytes = std::int64_t{64} << 20;
  // At least one row per thread, however large rows are.
  const std::int64_t block =
      std::min(count, std::max<std::int64_t>(threads, std::min(kMostRows, kMostBytes / row_bytes)));
  std::vector<std::uint8_t> rows(static_cast<std::size_t>(block * row_bytes));
  const auto row = [&](std::int64_t i) {
    return std::span(rows).subspan(static_cast<std::size_t>(i * row_bytes),
                                   static_cast<std::size_t>(row_bytes));
  };
  for (std::int64_t first = 0; first < count; first += block) {
    const std::int64_t size = std::min(block, count - first);
    for_each_at_once(size, threads, [&](std::int64_t i) { fill(first + i, row(i)); });
    take(first, std::span(rows).first(static_cast<std::size_t>(size * row_bytes)));
  }
}

}  // namespace elbo
