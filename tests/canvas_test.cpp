// Drawing primitives, plot axes and colour palettes.
#include "host/analysis/canvas.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "host/analysis/palette.hpp"
#include "host/analysis/plot.hpp"

namespace elbo {
namespace {

/// Returns the area drawn in black, in pixels.
double ink(const Canvas& canvas) {
  double sum = 0.0;
  for (size_t i = 0; i < canvas.image().pixels.size(); i += 3)
    sum += (255 - canvas.image().pixels[i]) / 255.0;
  return sum;
}

constexpr Colour kInk = {0, 0, 0};

TEST(Canvas, StartsWhite) {
  const Canvas canvas(7, 5);
  EXPECT_EQ(canvas.width(), 7);
  EXPECT_EQ(canvas.height(), 5);
  EXPECT_EQ(canvas.image().channels, 3);
  EXPECT_EQ(canvas.image().pixels, std::vector<std::uint8_t>(105, 255));
}

// Pixels are rounded to 1/255, so the area of n partly covered pixels is accurate to n/510.
TEST(Canvas, CoverageEqualsArea) {
  Canvas rectangle(40, 40);
  rectangle.rectangle(3.25, 4.5, 20.75, 9.0, kInk);
  EXPECT_NEAR(ink(rectangle), 17.5 * 4.5, 46.0 / 510);
  // Coverage computed from the distance is accurate to first order; the arc of a circle deviates
  // from a line by 1 / (8 r) within a pixel.
  Canvas disc(40, 40);
  disc.disc(19.3, 20.6, 10.0, kInk);
  const double circumference = 2.0 * std::numbers::pi * 10.0;
  EXPECT_NEAR(ink(disc), std::numbers::pi * 100.0, circumference / (8.0 * 10.0) + 126.0 / 510);
  Canvas half(40, 40);
  half.disc(20.0, 20.0, 10.0, kInk, 0.5);
  EXPECT_NEAR(ink(half), 0.5 * std::numbers::pi * 100.0, circumference / 80.0 + 314.0 / 510);
  // The area of a line is length times width, plus half a disc at each end.
  Canvas across(60, 60), down(60, 60);
  across.line(10.0, 20.0, 50.0, 20.0, 2.0, kInk);
  down.line(20.0, 10.0, 20.0, 50.0, 2.0, kInk);
  const double ends = std::numbers::pi;
  EXPECT_NEAR(ink(across), 80.0 + ends, 2.0 * ends / 8.0 + 16.0 / 510);
  EXPECT_NEAR(ink(down), ink(across), 1e-9);  // added in another order
}

TEST(Canvas, ClipsShapes) {
  Canvas canvas(10, 10);
  canvas.rectangle(-5.0, -5.0, 3.0, 2.0, kInk);
  EXPECT_EQ(ink(canvas), 6.0);
  canvas.disc(-30.0, 5.0, 10.0, kInk);
  canvas.line(20.0, 0.0, 20.0, 10.0, 2.0, kInk);
  canvas.text(-100.0, 5.0, "away", kInk);
  EXPECT_EQ(ink(canvas), 6.0);
  canvas.place(9, 9, Image{2, 2, 1, {0, 0, 0, 0}});
  EXPECT_EQ(ink(canvas), 7.0);
}

TEST(Canvas, PlacesGreyAndColourImages) {
  Canvas canvas(2, 1);
  canvas.place(0, 0, Image{1, 1, 1, {77}});
  canvas.place(1, 0, Image{1, 1, 3, {1, 2, 3}});
  EXPECT_EQ(canvas.image().pixels, (std::vector<std::uint8_t>{77, 77, 77, 1, 2, 3}));
}

TEST(Canvas, AlignsTextToItsAnchor) {
  const double width = Canvas::text_width("text");
  EXPECT_GT(width, 0.0);
  EXPECT_NEAR(Canvas::text_width("texttext"), 2.0 * width, 1e-9);
  const auto columns = [](const Canvas& canvas) {
    int64_t first = canvas.width(), last = -1;
    for (int64_t i = 0; i < canvas.width() * canvas.height(); ++i)
      if (canvas.image().pixels[static_cast<size_t>(3 * i)] == 0) {
        first = std::min(first, i % canvas.width());
        last = std::max(last, i % canvas.width());
      }
    return std::pair(static_cast<double>(first), static_cast<double>(last + 1));
  };
  for (const auto& [anchor, start] : {std::pair{Canvas::Anchor::left, 100.0},
                                      std::pair{Canvas::Anchor::centre, 100.0 - 0.5 * width},
                                      std::pair{Canvas::Anchor::right, 100.0 - width}}) {
    Canvas canvas(200, 40);
    canvas.text(100.0, 20.0, "text", kInk, anchor);
    const auto [first, last] = columns(canvas);
    EXPECT_GE(first, std::floor(start));
    EXPECT_LE(first, start + 3.0);
    EXPECT_LE(last, start + width + 1.0);
    EXPECT_GE(last, start + width - 7.0);  // a glyph ends with empty columns
  }
  // Bytes without a printable glyph are drawn as '?'.
  EXPECT_EQ(Canvas::text_width("\xce\xbc\n"), Canvas::text_width("???"));
}

TEST(Plot, TicksAreRoundNumbers) {
  EXPECT_EQ(ticks_between(0.0, 10.0, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(ticks_between(-1.1, 1.1, 4), (std::vector<double>{-1, -0.5, 0, 0.5, 1}));
  EXPECT_EQ(ticks_between(7.0, 7.0, 4), (std::vector<double>{7}));
  EXPECT_EQ(ticks_of_powers(0.04, 0.6), (std::vector<double>{0.05, 0.1, 0.2, 0.5}));
  EXPECT_DOUBLE_EQ(ticks_of_powers(1.1, 1.9).front(), 1.2);
  EXPECT_EQ(tick_label(-0.0), "0");
  EXPECT_EQ(tick_label(0.30000000000000004), "0.3");
}

TEST(Plot, MapsYUpwards) {
  const Plot plot{10.0, 20.0, 110.0, 220.0, -1.0, 1.0, 0.0, 4.0};
  EXPECT_EQ(plot.x(-1.0), 10.0);
  EXPECT_EQ(plot.x(0.0), 60.0);
  EXPECT_EQ(plot.y(0.0), 220.0);
  EXPECT_EQ(plot.y(4.0), 20.0);
}

TEST(Palette, EndsMatchViridis) {
  const auto same = [](Colour a, Colour b) {
    return a.red == b.red && a.green == b.green && a.blue == b.blue;
  };
  EXPECT_TRUE(same(sequential_colour(-1.0), {68, 1, 84}));
  EXPECT_TRUE(same(sequential_colour(1.0), {253, 231, 37}));
  EXPECT_TRUE(same(category_colour(9, 10), kCategories[9]));
  EXPECT_TRUE(same(category_colour(10, 11), {253, 231, 37}));
}

}  // namespace
}  // namespace elbo
