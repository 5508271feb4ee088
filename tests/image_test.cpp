// Processing of decoded pictures: colours, and the square in the middle.
#include "host/io/image.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/io/picture.hpp"
#include "tests/pictures.hpp"

namespace elbo {
namespace {

TEST(ImageColours, LumaIsThatOfRec601) {
  const Image rgb = scattered_image(31, 17, 3);
  const Image grey = to_grey(rgb);
  ASSERT_EQ(grey.channels, 1);
  ASSERT_EQ(grey.pixels.size(), 31u * 17u);
  for (size_t i = 0; i < grey.pixels.size(); ++i) {
    const double luma =
        0.299 * rgb.pixels[3 * i] + 0.587 * rgb.pixels[3 * i + 1] + 0.114 * rgb.pixels[3 * i + 2];
    // Half from rounding; weights in 65536ths are off by less than half of one, times 3 * 255.
    EXPECT_NEAR(grey.pixels[i], luma, 0.5 + 0.5 * 3 * 255 / 65536);
  }
}

TEST(ImageColours, GreyAndBackIsTheSame) {
  const Image grey = make_image(16, 16, 1, [](auto y, auto x, auto) { return 16 * y + x; });
  const Image rgb = to_rgb(grey);
  EXPECT_EQ(rgb.channels, 3);
  EXPECT_EQ(to_grey(rgb).pixels, grey.pixels);
  EXPECT_EQ(to_grey(grey).pixels, grey.pixels);
  EXPECT_EQ(to_rgb(rgb).pixels, rgb.pixels);
}

TEST(FittedSquare, LeavesTheRightSizeAlone) {
  for (const int64_t channels : {1, 3}) {
    const Image image = scattered_image(23, 23, channels);
    EXPECT_EQ(fitted_square(image, 23).pixels, image.pixels);
  }
}

TEST(FittedSquare, CutsTheLongerSideInItsMiddle) {
  for (const int64_t channels : {1, 3})
    for (const int64_t extra : {1, 2, 7, 30}) {
      const Image wide = scattered_image(12, 12 + extra, channels);
      const Image tall = scattered_image(12 + extra, 12, channels);
      const auto middle = [&](const Image& image, int64_t top, int64_t left) {
        return make_image(12, 12, channels, [&](auto y, auto x, auto c) {
          return image
              .pixels[static_cast<size_t>(((top + y) * image.width + left + x) * channels + c)];
        });
      };
      EXPECT_EQ(fitted_square(wide, 12).pixels, middle(wide, 0, extra / 2).pixels) << extra;
      EXPECT_EQ(fitted_square(tall, 12).pixels, middle(tall, extra / 2, 0).pixels) << extra;
    }
}

TEST(FittedSquare, KeepsConstants) {
  const int colours[] = {0, 1, 127, 200, 254, 255};
  for (const int64_t height : {1, 2, 3, 5, 8, 13, 31, 64, 257})
    for (const int64_t width : {1, 2, 3, 7, 16, 33, 100, 640})
      for (const int64_t side : {1, 2, 5, 16, 33, 64})
        for (const int64_t channels : {1, 3}) {
          const auto colour = [&](auto c) { return colours[(height + width + side + c) % 6]; };
          const Image image =
              make_image(height, width, channels, [&](auto, auto, auto c) { return colour(c); });
          const Image fitted = fitted_square(image, side);
          ASSERT_EQ(fitted.height, side);
          ASSERT_EQ(fitted.width, side);
          ASSERT_EQ(fitted.channels, channels);
          for (size_t i = 0; i < fitted.pixels.size(); ++i)
            ASSERT_EQ(fitted.pixels[i], colour(static_cast<int64_t>(i) % channels))
                << height << "x" << width << " to " << side << ", value " << i;
        }
}

/// Catmull and Rom's cubic (Keys 1981, a = -1/2).
double cubic(double x) {
  x = std::abs(x);
  if (x < 1.0) return 1.5 * x * x * x - 2.5 * x * x + 1.0;
  return x < 2.0 ? -0.5 * x * x * x + 2.5 * x * x - 4.0 * x + 2.0 : 0.0;
}

/// Weights [scaled, length] of `length` pixels in each of `scaled` ones: the cubic, widened where
/// they become fewer; pixels beyond the ends are those at the ends.
std::vector<double> weights_of(int64_t length, int64_t scaled) {
  std::vector<double> weights(static_cast<size_t>(length * scaled));
  const double step = static_cast<double>(length) / static_cast<double>(scaled);
  const double width = std::max(step, 1.0);
  for (int64_t i = 0; i < scaled; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * step;
    const auto begin = weights.begin() + i * length;
    for (int64_t j = static_cast<int64_t>(centre - 2.0 * width) - 1;
         j <= static_cast<int64_t>(centre + 2.0 * width) + 1; ++j)
      begin[std::clamp<int64_t>(j, 0, length - 1)] +=
          cubic((static_cast<double>(j) + 0.5 - centre) / width);
    const double sum = std::accumulate(begin, begin + length, 0.0);
    for (auto weight = begin; weight != begin + length; ++weight) *weight /= sum;
  }
  return weights;
}

TEST(FittedSquare, IsTheCubicAppliedToEverySide) {
  const std::vector<std::array<int64_t, 3>> cases = {{32, 32, 24},  {32, 32, 64}, {100, 75, 16},
                                                     {37, 53, 20},  {53, 37, 50}, {9, 200, 30},
                                                     {400, 301, 32}};
  for (const auto& [height, width, side] : cases) {
    SCOPED_TRACE(testing::Message() << height << "x" << width << " to " << side);
    const Image image = scattered_image(height, width, 1);
    const double ratio = static_cast<double>(side) / static_cast<double>(std::min(height, width));
    const int64_t rows = std::llround(static_cast<double>(height) * ratio);
    const int64_t columns = std::llround(static_cast<double>(width) * ratio);
    const std::vector<double> down = weights_of(height, rows), across = weights_of(width, columns);
    const Image fitted = fitted_square(image, side);
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x) {
        double value = 0.0;
        for (int64_t i = 0; i < height; ++i)
          for (int64_t j = 0; j < width; ++j)
            value += down[static_cast<size_t>((y + (rows - side) / 2) * height + i)] *
                     across[static_cast<size_t>((x + (columns - side) / 2) * width + j)] *
                     image.pixels[static_cast<size_t>(i * width + j)];
        // Half from rounding. The resampler places and weighs pixels in float: each of the sums
        // of at most 2 * 4 * 13 terms, whose weights have absolute values below 1.6 in all, is
        // off by less than 104 * 1.6 * 255 * 2^-24 twice, and its place within 400 pixels by
        // 400 * 2^-24, which the cubic's slope of at most 1 times 255 passes on.
        const double rounding = (104 * 1.6 * 2 + 400 * 4) * 255 * std::ldexp(1.0, -24);
        ASSERT_NEAR(fitted.pixels[static_cast<size_t>(y * side + x)], std::clamp(value, 0.0, 255.0),
                    0.5 + rounding)
            << y << ", " << x;
      }
  }
}

TEST(FittedSquare, KeepsTheMeanOfARamp) {
  // Symmetric about its middle, as the filter is: values at equal distances from it sum up to the
  // same, each rounded by at most a half.
  for (const int64_t length : {33, 64, 100, 255}) {
    const Image ramp = make_image(length, length, 1, [](auto, auto x, auto) { return x; });
    for (const int64_t side : {8, 17, 32, 120}) {
      const Image fitted = fitted_square(ramp, side);
      const double sum = std::accumulate(fitted.pixels.begin(), fitted.pixels.end(), 0.0);
      EXPECT_NEAR(sum / static_cast<double>(side * side), static_cast<double>(length - 1) / 2, 0.51)
          << length << " to " << side;
    }
  }
}

TEST(FittedSquare, TakesPanoramas) {
  // The weights of an axis take memory by its length: only the needed part is used.
  const Image strip = make_image(2, 3'000'000, 1, [](auto, auto, auto) { return 77; });
  const Image fitted = fitted_square(strip, 16);
  EXPECT_EQ(fitted.pixels, std::vector<uint8_t>(256, 77));
}

}  // namespace
}  // namespace elbo
