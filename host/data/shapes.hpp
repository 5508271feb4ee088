// A small rendered data set with known factors, so that nothing has to be downloaded.
#pragma once

#include <cstdint>
#include <filesystem>

namespace elbo {

struct ShapesOptions {
  std::int64_t train_count = 8192;
  std::int64_t test_count = 1024;
  std::int64_t size = 32;  // height and width in pixels
  std::uint64_t seed = 1;
};

/// Writes antialiased grey images of one white shape on black, drawn uniformly from
///   0 shape     0 square, 1 ellipse, 2 heart
///   1 x         centre, as a fraction of the width, from the left: 0.3 to 0.7
///   2 y         centre, as a fraction of the height, from the top: 0.3 to 0.7
///   3 scale     0.5 to 1; the outermost point is 0.28 * scale * size from the centre
///   4 rotation  0 to 2 pi, clockwise, in radians
/// as train and test: official IDX images and labels (the shape), and {train,test}-factors.npy,
/// f32 [count, 5] in this order. The bytes depend on the options alone, on every machine.
///
/// Creates `directory` if it is missing. Throws ConfigError if it exists and is not empty, or an
/// option is out of range, and DataError if a file cannot be written.
void generate_shapes(const std::filesystem::path& directory, const ShapesOptions& options = {});

}  // namespace elbo
