// Interpolation between two rows: codes on a circle or a line, and the decoded pictures between the
// rows.
#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <numbers>

#include "host/io/png.hpp"
#include "host/train/generation.hpp"
#include "host/train/run_directory.hpp"
#include "tests/compare.hpp"
#include "tests/file_fixture.hpp"
#include "tests/small_training.hpp"

namespace elbo {
namespace {

using Code = std::vector<float>;

Code part(const std::vector<float>& all, size_t index, size_t size) {
  return {all.begin() + static_cast<std::ptrdiff_t>(index * size),
          all.begin() + static_cast<std::ptrdiff_t>((index + 1) * size)};
}

double dot(const Code& a, const Code& b) {
  double sum = 0.0;
  for (size_t j = 0; j < a.size(); ++j) sum += double{a[j]} * b[j];
  return sum;
}

// Floats of about 5, made of sines in double: an ulp or two.
constexpr double kRounding = 5 * 0x1p-22;

TEST(CodesBetween, OnACircleKeepTheirLengthAndEqualAngles) {
  const Code from = {3.0f, 0.0f, 4.0f}, to = {0.0f, 5.0f, 0.0f};
  const std::vector<float> codes = codes_between(from, to, 10, true);
  ASSERT_EQ(codes.size(), 30u);
  EXPECT_EQ(part(codes, 0, 3), from);
  EXPECT_EQ(part(codes, 9, 3), to);
  for (size_t i = 0; i < 10; ++i) {
    const Code code = part(codes, i, 3);
    EXPECT_NEAR(std::sqrt(dot(code, code)), 5.0, kRounding);
    const double angle = static_cast<double>(i) / 9.0 * std::numbers::pi / 2.0;
    EXPECT_NEAR(dot(code, from), 25.0 * std::cos(angle), 5.0 * kRounding);
    EXPECT_NEAR(dot(code, to), 25.0 * std::sin(angle), 5.0 * kRounding);
  }
}

TEST(CodesBetween, OnALineAreEquallyFarApart) {
  const Code from = {3.0f, -1.0f}, to = {-1.0f, 1.0f};
  const std::vector<float> codes = codes_between(from, to, 5, false);
  const std::vector<float> want = {3.0f, -1.0f, 2.0f, -0.5f, 1.0f, 0.0f, 0.0f, 0.5f, -1.0f, 1.0f};
  EXPECT_TRUE(same_bits(codes, want));
}

// Cases with no circle through both codes, or many.
TEST(CodesBetween, OfNoAngleLieOnTheLine) {
  const Code zero = {0.0f, 0.0f}, one = {1.0f, 2.0f}, twice = {2.0f, 4.0f},
             opposite = {-1.0f, -2.0f};
  for (const auto& [from, to] :
       {std::pair{zero, one}, {one, zero}, {zero, zero}, {one, one}, {one, twice}, {one, opposite}})
    EXPECT_TRUE(same_bits(codes_between(from, to, 7, true), codes_between(from, to, 7, false)));
}

Model colour_model(const char* bottleneck) {
  Config config = small_config();
  apply_setting(config, "bottleneck", bottleneck);
  config.samples = 1;
  Model model(config, {{2, 4, 3}, DType::f32, 0}, make_cpu_device(1), Model::Purpose::inference);
  model.set_weights(model.architecture.initial_weights(1, nullptr));
  return model;
}

TEST(Interpolate, ShowsRowsAndWhatIsDecodedBetweenThem) {
  for (const bool gaussian : {true, false}) {
    const Model model = colour_model(gaussian ? "gaussian" : "deterministic");
    const std::vector<float> rows = uniform_floats(4 * 24, 0.0f, 1.0f, 1),
                             codes = uniform_floats(4 * 3, -2.0f, 2.0f, 2);
    const std::vector<float> pictures = interpolate(model, rows, codes, 6);
    ASSERT_EQ(pictures.size(), 2u * 8u * 24u);
    for (size_t pair = 0; pair < 2; ++pair) {
      EXPECT_EQ(part(pictures, 8 * pair, 24), part(rows, 2 * pair, 24));
      EXPECT_EQ(part(pictures, 8 * pair + 7, 24), part(rows, 2 * pair + 1, 24));
      const std::vector<float> means = decode(
          model,
          codes_between(part(codes, 2 * pair, 3), part(codes, 2 * pair + 1, 3), 6, gaussian));
      for (size_t i = 0; i < 6; ++i)
        EXPECT_EQ(part(pictures, 8 * pair + 1 + i, 24), part(means, i, 24)) << pair << ", " << i;
    }
  }
  Config classifier = small_config();
  apply_setting(classifier, "likelihood", "none");
  apply_setting(classifier, "bottleneck", "none");
  apply_setting(classifier, "classifier", "cross-entropy");
  classifier.samples = 1;
  const Model none(classifier, {{kSmallDim}, DType::f32, 2}, make_cpu_device(1),
                   Model::Purpose::inference);
  EXPECT_THROW(interpolate(none, std::vector<float>(2 * kSmallDim), std::vector<float>(8), 6),
               ConfigError);
}

/// Width, height and channels of a PNG file.
std::array<int64_t, 3> measure(const std::filesystem::path& path) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_file(&image, path.c_str())) << path;
  const std::array<int64_t, 3> size = {
      image.width, image.height, static_cast<int64_t>(PNG_IMAGE_PIXEL_CHANNELS(image.format))};
  png_image_free(&image);
  return size;
}

// Tiles of 2 x 4 pixels 16-fold, each with a gutter of 2.
TEST(Interpolate, DrawsAtMostEightPairsInColour) {
  const TemporaryDirectory directory;
  const Model model = colour_model("gaussian");
  for (const auto& [rows, lines] : {std::pair{2, 1}, {5, 2}, {16, 8}, {40, 8}}) {
    const auto count = static_cast<size_t>(rows);
    write_interpolations(directory / "between.png", model,
                         uniform_floats(24 * count, 0.0f, 1.0f, 1),
                         uniform_floats(3 * count, -2.0f, 2.0f, 2));
    EXPECT_EQ(measure(directory / "between.png"),
              (std::array<int64_t, 3>{12 * (4 * 16 + 2) + 2, lines * (2 * 16 + 2) + 2, 3}));
  }
}

}  // namespace
}  // namespace elbo
