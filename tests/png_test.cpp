#include <png.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "host/data/sample_pictures.hpp"
#include "host/io/png.hpp"
#include "kernels/core/error.hpp"
#include "tests/file_fixture.hpp"

namespace elbo {
namespace {

namespace fs = std::filesystem;

std::vector<std::uint8_t> read_png(const fs::path& path, bool colour, std::int64_t& height,
                                   std::int64_t& width) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0);
  EXPECT_EQ((image.format & PNG_FORMAT_FLAG_COLOR) != 0, colour);
  image.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  height = image.height;
  width = image.width;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0);
  return pixels;
}

TEST(Png, RoundTripsGreyAndColour) {
  TemporaryDirectory directory;
  for (std::int64_t channels : {1, 3}) {
    Image image{5, 7, channels, std::vector<std::uint8_t>(static_cast<std::size_t>(35 * channels))};
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
      image.pixels[i] = static_cast<std::uint8_t>(i * 37);
    }
    write_png(directory / "a.png", image);
    std::int64_t height = 0;
    std::int64_t width = 0;
    EXPECT_EQ(read_png(directory / "a.png", channels == 3, height, width), image.pixels);
    EXPECT_EQ(height, 5);
    EXPECT_EQ(width, 7);
  }
}

TEST(Png, NamesTheFileItCannotWrite) {
  TemporaryDirectory directory;
  expect_error<DataError>(
      [&] {
        write_png(directory / "no/a.png", {1, 1, 1, {0}});
      },
      {"no/a.png", "No such file"});
  // libpng's own error, which comes back through longjmp: its width limit is a million.
  const Image wide{1, 1'000'001, 1, std::vector<std::uint8_t>(1'000'001)};
  expect_error<DataError>([&] { write_png(directory / "wide.png", wide); },
                          {"wide.png", "1x1000001", "as PNG"});
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(TileGrid, ClampsRoundsAndPlaces) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> samples = {0.0F, 1.0F, -3.0F,         7.0F,              // tile 0
                                      0.5F, nan,  1.0F / 255.0F, 0.499F / 255.0F};  // tile 1
  const Image image = tile_grid(samples, {2, 2}, {.columns = 2, .gutter = 1, .scale = 1});
  EXPECT_EQ(image.height, 4);
  EXPECT_EQ(image.width, 7);
  const std::uint8_t g = 96;
  EXPECT_EQ(image.pixels, (std::vector<std::uint8_t>{g, g, g,   g, g,   g, g,  //
                                                     g, 0, 255, g, 128, 0, g,  //
                                                     g, 0, 255, g, 1,   0, g,  //
                                                     g, g, g,   g, g,   g, g}));
}

TEST(TileGrid, ReadsColourInBothOrders) {
  std::vector<float> planar(3 * 2 * 4);
  std::vector<float> interleaved(planar.size());
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 8; ++i) {
      planar[c * 8 + i] = static_cast<float>(c * 8 + i) / 24.0F;
      interleaved[i * 3 + c] = planar[c * 8 + i];
    }
  }
  const Image from_planar = tile_grid(planar, {3, 2, 4});
  EXPECT_EQ(from_planar.channels, 3);
  EXPECT_EQ(from_planar.pixels, tile_grid(interleaved, {2, 4, 3}).pixels);
}

TEST(TileGrid, KnowsWhatIsAPicture) {
  for (const Shape& shape : {Shape{4, 5}, {4, 5, 3}, {3, 4, 5}, {4, 5, 1}, {1, 4, 5}}) {
    EXPECT_TRUE(is_picture(shape)) << to_string(shape);
    const PictureLayout layout = picture_layout(shape);
    EXPECT_EQ(layout.height, 4) << to_string(shape);
    EXPECT_EQ(layout.width, 5) << to_string(shape);
    EXPECT_EQ(layout.channels, element_count(shape) / 20) << to_string(shape);
  }
  for (const Shape& shape : {Shape{784}, {2, 4, 5}, {4, 5, 4}, {3, 4, 5, 1}})
    EXPECT_FALSE(is_picture(shape)) << to_string(shape);
}

TEST(TileGrid, ChoosesSensibleForms) {
  const auto grid = [](std::size_t count, const Shape& shape) {
    const auto elements = static_cast<std::size_t>(element_count(shape));
    return tile_grid(std::vector<float>(count * elements), shape, {.gutter = 0, .scale = 1});
  };
  const auto expect_size = [](const Image& image, std::int64_t height, std::int64_t width) {
    EXPECT_EQ(image.height, height);
    EXPECT_EQ(image.width, width);
  };
  expect_size(grid(64, {28, 28}), 8 * 28, 8 * 28);
  expect_size(grid(64, {784}), 8 * 28, 8 * 28);
  expect_size(grid(10, {28, 28}), 3 * 28, 4 * 28);
  expect_size(grid(3, {13}), 3, 13);       // prime: strips, one above the other
  expect_size(grid(1, {2, 5, 7}), 7, 10);  // no channels: 70 elements
  expect_size(grid(1, {1, 28, 28}), 28, 28);
  const Image scaled = tile_grid(std::vector<float>(10), {10});
  expect_size(scaled, 2 * (64 / 5) + 4, 5 * (64 / 5) + 4);
}

}  // namespace
}  // namespace elbo
