#include "host/data/shapes.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

#include "host/data/counter_hash.hpp"
#include "host/data/dataset.hpp"
#include "host/io/npy.hpp"
#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

const DatasetOptions kEveryRow{.validation_fraction = 0.0};

std::uint64_t fingerprint(const std::string& bytes) {
  std::uint64_t hash = 0;
  for (char byte : bytes) hash = mix_bits(hash ^ static_cast<std::uint8_t>(byte)) + 1;
  return hash;
}

TEST(Shapes, WritesADataSetThatOpens) {
  TemporaryDirectory directory;
  const fs::path path = directory / "new/shapes";
  generate_shapes(path, {.train_count = 300, .test_count = 30, .size = 24});
  const Dataset data = Dataset::open(path, kEveryRow);
  EXPECT_EQ(data.sample_shape(), (Shape{24, 24}));
  EXPECT_EQ(data.split("train").size(), 300);
  EXPECT_EQ(data.split("test").size(), 30);
  EXPECT_EQ(data.range().minimum, 0.0);
  EXPECT_EQ(data.range().maximum, 255.0);
  const std::vector<std::int32_t>& labels = data.split("train").labels;
  for (int shape = 0; shape < 3; ++shape) EXPECT_GT(std::ranges::count(labels, shape), 60);
  EXPECT_EQ(open_npy(path / "test-factors.npy").shape, (Shape{30, 5}));
  expect_error<ConfigError>([&] { generate_shapes(path); }, {"shapes", "not empty"});
}

TEST(Shapes, DrawsWhatTheFactorsSay) {
  constexpr std::int64_t kSize = 64;
  TemporaryDirectory directory;
  generate_shapes(directory.path(), {.train_count = 200, .test_count = 1, .size = kSize});
  const Dataset data = Dataset::open(directory.path(), kEveryRow);
  const Split& train = data.split("train");
  const auto factors = to_floats(open_npy(directory / "train-factors.npy"), "factors");
  const auto* pixels = static_cast<const std::uint8_t*>(train.rows);
  // Area over the squared radius; the heart's is (square + disc) / (outermost point)^2.
  const double heart_area = (1.0 + std::numbers::pi / 4.0) / std::pow(0.89180, 2);
  const double areas[] = {2.0, std::numbers::pi * 0.55, heart_area};
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const float* factor = factors.data() + i * 5;
    const std::uint8_t* image = pixels + i * kSize * kSize;
    double mass = 0.0;
    double x = 0.0;
    double y = 0.0;
    for (std::int64_t p = 0; p < kSize * kSize; ++p) {
      mass += image[p] / 255.0;
      x += image[p] / 255.0 * (static_cast<double>(p % kSize) + 0.5);
      y += image[p] / 255.0 * (static_cast<double>(p / kSize) + 0.5);
    }
    const auto shape = static_cast<std::size_t>(factor[0]);
    EXPECT_EQ(train.labels[static_cast<std::size_t>(i)], static_cast<int>(shape));
    const double radius = 0.28 * factor[3] * kSize;
    // Antialiasing is exact to first order; 2 % is about a tenth of a pixel along the outline.
    EXPECT_NEAR(mass / (areas[shape] * radius * radius), 1.0, 0.02) << i;
    if (shape != 2) {  // the heart's centre of mass is not its centre
      EXPECT_NEAR(x / mass, factor[1] * kSize, 0.1) << i;
      EXPECT_NEAR(y / mass, factor[2] * kSize, 0.1) << i;
    }
    for (std::int64_t p = 0; p < kSize; ++p) {  // nothing touches the border
      EXPECT_EQ(image[p] + image[p * kSize] + image[p * kSize + kSize - 1], 0);
    }
  }
}

TEST(Shapes, AreTheSameEverywhere) {
  TemporaryDirectory directory;
  generate_shapes(directory / "a", {.train_count = 50, .test_count = 50});
  generate_shapes(directory / "b", {.train_count = 50, .test_count = 50, .seed = 2});
  const std::string train = read_bytes(directory / "a/train-images-idx3-ubyte");
  EXPECT_NE(train, read_bytes(directory / "a/t10k-images-idx3-ubyte"));
  EXPECT_NE(train, read_bytes(directory / "b/train-images-idx3-ubyte"));
  // Recorded once: bytes are promised to be equal on every machine.
  EXPECT_EQ(fingerprint(train), 1114507115815002987U);
  EXPECT_EQ(fingerprint(read_bytes(directory / "a/train-factors.npy")), 4885228052226578812U);
}

TEST(Shapes, NamesTheOptionOutOfRange) {
  TemporaryDirectory directory;
  const fs::path path = directory / "new";
  expect_error<ConfigError>([&] { generate_shapes(path, {.train_count = 0}); },
                            {"train-count: got '0'"});
  expect_error<ConfigError>([&] { generate_shapes(path, {.test_count = -1}); },
                            {"test-count: got '-1'"});
  expect_error<ConfigError>([&] { generate_shapes(path, {.size = 7}); },
                            {"size: got '7'", "between 8 and"});
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace elbo
