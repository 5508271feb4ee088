#include "host/data/shapes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "host/data/counter_hash.hpp"
#include "host/io/formatted.hpp"
#include "host/io/idx.hpp"
#include "host/io/new_directory.hpp"
#include "host/io/npy.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// Rendering uses only + - * / and sqrt, which are exactly rounded on every machine; sin and cos are
// not.

constexpr std::int64_t kFactors = 5;
constexpr double kTurn = 2.0 * std::numbers::pi;
constexpr double kLargestRadius = 0.28;  // of the image; with centres in [0.3, 0.7] it stays inside

struct Point {
  double x, y;
};

double length(Point p) { return std::sqrt(p.x * p.x + p.y * p.y); }

/// cos and sin of an angle in [0, 2 pi], by Taylor series about 0 after halving it three times.
Point direction(double angle) {
  const double a = angle / 8.0;
  const double square = a * a;
  double cosine = 0.0;
  double sine = 0.0;
  for (int k = 16; k >= 2; k -= 2) {  // Horner from the smallest term
    cosine = (1.0 - cosine) * square / (k * (k - 1));
    sine = (1.0 - sine) * square / (k * (k + 1));
  }
  Point unit{1.0 - cosine, a * (1.0 - sine)};
  for (int doubling = 0; doubling < 3; ++doubling) {
    unit = {unit.x * unit.x - unit.y * unit.y, 2.0 * unit.x * unit.y};
  }
  return unit;
}

// Signed distances (negative inside) from shapes whose outermost point is 1 from the origin.

double distance_to_box(Point p, double half_side) {
  const Point q{std::abs(p.x) - half_side, std::abs(p.y) - half_side};
  return length({std::max(q.x, 0.0), std::max(q.y, 0.0)}) + std::min(std::max(q.x, q.y), 0.0);
}

double distance_to_square(Point p) { return distance_to_box(p, 1.0 / std::numbers::sqrt2); }

/// To first order: f / |grad f| for f = |(x/a, y/b)| - 1.
double distance_to_ellipse(Point p) {
  constexpr double kMinorAxis = 0.55;
  const double norm = length({p.x, p.y / kMinorAxis});
  const double slope = length({p.x, p.y / (kMinorAxis * kMinorAxis)});
  return slope > 0.0 ? (norm - 1.0) * norm / slope : -kMinorAxis;
}

/// A square standing on its corner, with a half disc on each of its two upper sides.
double distance_to_heart(Point p) {
  constexpr double kHalfSide = 0.5;
  constexpr double kHalfDiagonal = kHalfSide * std::numbers::sqrt2;
  constexpr double kTip = kHalfDiagonal - kHalfSide;
  // The point kRise above the square's middle is equally far from the tip and from the lobes.
  constexpr double kRise = (kHalfSide * kHalfSide - kTip * kTip) / (2.0 * kTip + kHalfDiagonal);
  constexpr double kRadius = kHalfDiagonal + kRise;
  const Point q{p.x * kRadius, p.y * kRadius - kRise};
  const Point turned{(q.x + q.y) / std::numbers::sqrt2, (q.y - q.x) / std::numbers::sqrt2};
  const double square = distance_to_box(turned, kHalfSide);
  const double right = length({turned.x, turned.y + kHalfSide}) - kHalfSide;
  const double left = length({turned.x + kHalfSide, turned.y}) - kHalfSide;
  return std::min({square, left, right}) / kRadius;
}

constexpr std::array kDistances = {distance_to_square, distance_to_ellipse, distance_to_heart};

/// Factors of image `number`, each from its own counter.
std::array<float, kFactors> draw_factors(std::uint64_t seed, std::int64_t number) {
  const auto between = [&](int factor, double low, double high) {
    const auto counter = static_cast<std::uint64_t>(number * kFactors + factor);
    return static_cast<float>(low + (high - low) * uniform_at(seed, counter));
  };
  return {std::floor(between(0, 0.0, static_cast<double>(kDistances.size()))), between(1, 0.3, 0.7),
          between(2, 0.3, 0.7), between(3, 0.5, 1.0), between(4, 0.0, kTurn)};
}

void render(const std::array<float, kFactors>& factors, std::int64_t size, std::uint8_t* pixels) {
  const auto distance = kDistances[static_cast<std::size_t>(factors[0])];
  const auto extent = static_cast<double>(size);
  const Point centre{factors[1] * extent, factors[2] * extent};
  const double radius = kLargestRadius * factors[3] * extent;
  const Point axis = direction(factors[4]);
  for (std::int64_t row = 0; row < size; ++row) {
    for (std::int64_t column = 0; column < size; ++column) {
      const Point p{(static_cast<double>(column) + 0.5 - centre.x) / radius,
                    (static_cast<double>(row) + 0.5 - centre.y) / radius};
      const Point turned{axis.x * p.x + axis.y * p.y, axis.x * p.y - axis.y * p.x};
      // The coverage of a pixel is proportional to the distance of the edge from its centre.
      const double coverage = std::clamp(0.5 - distance(turned) * radius, 0.0, 1.0);
      *pixels++ = static_cast<std::uint8_t>(coverage * 255.0 + 0.5);
    }
  }
}

struct FileNames {
  const char* images;
  const char* labels;
  const char* factors;
};

constexpr FileNames kTrainFiles = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                   "train-factors.npy"};
constexpr FileNames kTestFiles = {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
                                  "test-factors.npy"};

void write_split(const fs::path& directory, const FileNames& names, std::int64_t count,
                 std::int64_t size, std::uint64_t seed) {
  std::vector<std::uint8_t> images(static_cast<std::size_t>(count * size * size));
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(count));
  std::vector<float> factors(static_cast<std::size_t>(count * kFactors));
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) {
    const std::array drawn = draw_factors(seed, i);
    std::ranges::copy(drawn, factors.begin() + i * kFactors);
    labels[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(drawn[0]);
    render(drawn, size, images.data() + i * size * size);
  }
  write_idx(directory / names.images, {count, size, size}, images);
  write_idx(directory / names.labels, {count}, labels);
  write_npy(directory / names.factors, {count, kFactors}, factors);
}

void check_option(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  throw ConfigError(formatted("{}: got '{}', expected between {} and {}", name, value, low, high));
}

}  // namespace

void generate_shapes(const fs::path& directory, const ShapesOptions& options) {
  constexpr std::int64_t kMostImages = 1'000'000;
  constexpr std::int64_t kLargestSize = 256;
  check_option("train-count", options.train_count, 1, kMostImages);
  check_option("test-count", options.test_count, 1, kMostImages);
  check_option("size", options.size, 8, kLargestSize);

  make_new_directory(directory);
  write_split(directory, kTrainFiles, options.train_count, options.size,
              hash_counter(options.seed, 0));
  write_split(directory, kTestFiles, options.test_count, options.size,
              hash_counter(options.seed, 1));
}

}  // namespace elbo
