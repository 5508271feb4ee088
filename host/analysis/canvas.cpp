#include "host/analysis/canvas.hpp"

#include <stb_easy_font.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace elbo {
namespace {

constexpr double kTextScale = 2.0;  // pixels per pixel of the font

std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c < ' ' || c > '~') c = '?';
  return result;
}

/// Calls visit(x, y) for each pixel of the picture that a box touches.
template <class Visit>
void for_each_pixel(const Image& image, double left, double top, double right, double bottom,
                    Visit&& visit) {
  const auto from = [](double edge) {
    return static_cast<std::int64_t>(std::max(0.0, std::floor(edge)));
  };
  const auto to = [](double edge, std::int64_t size) {
    return static_cast<std::int64_t>(std::min(static_cast<double>(size), std::ceil(edge)));
  };
  for (std::int64_t y = from(top); y < to(bottom, image.height); ++y)
    for (std::int64_t x = from(left); x < to(right, image.width); ++x) visit(x, y);
}

/// Returns the covered fraction of a pixel, to first order, if the distance from its centre to the
/// shape's edge is `distance_inside`.
double coverage(double distance_inside) { return std::clamp(distance_inside + 0.5, 0.0, 1.0); }

}  // namespace

Canvas::Canvas(std::int64_t width, std::int64_t height)
    : image_{height, width, 3,
             std::vector<std::uint8_t>(static_cast<std::size_t>(3 * height * width), 255)} {}

void Canvas::blend(std::int64_t x, std::int64_t y, Colour colour, double opacity) {
  std::uint8_t* pixel = &image_.pixels[static_cast<std::size_t>(3 * (y * image_.width + x))];
  const std::uint8_t parts[] = {colour.red, colour.green, colour.blue};
  for (int c = 0; c < 3; ++c)
    pixel[c] = static_cast<std::uint8_t>(
        std::lround(pixel[c] + opacity * (static_cast<double>(parts[c]) - pixel[c])));
}

void Canvas::rectangle(double left, double top, double right, double bottom, Colour colour) {
  for_each_pixel(image_, left, top, right, bottom, [&](std::int64_t x, std::int64_t y) {
    const auto covered = [](double from, double to, std::int64_t pixel) {
      const auto first = static_cast<double>(pixel);
      return std::clamp(std::min(to, first + 1.0) - std::max(from, first), 0.0, 1.0);
    };
    blend(x, y, colour, covered(left, right, x) * covered(top, bottom, y));
  });
}

void Canvas::line(double x0, double y0, double x1, double y1, double width, Colour colour) {
  const double half = 0.5 * width, dx = x1 - x0, dy = y1 - y0;
  const double square = std::max(dx * dx + dy * dy, 1e-12);
  for_each_pixel(image_, std::min(x0, x1) - half - 1.0, std::min(y0, y1) - half - 1.0,
                 std::max(x0, x1) + half + 1.0, std::max(y0, y1) + half + 1.0,
                 [&](std::int64_t x, std::int64_t y) {
                   const double px = static_cast<double>(x) + 0.5 - x0;
                   const double py = static_cast<double>(y) + 0.5 - y0;
                   const double along = std::clamp((px * dx + py * dy) / square, 0.0, 1.0);
                   const double distance = std::hypot(px - along * dx, py - along * dy);
                   blend(x, y, colour, coverage(half - distance));
                 });
}

void Canvas::disc(double x, double y, double radius, Colour colour, double opacity) {
  for_each_pixel(image_, x - radius - 1.0, y - radius - 1.0, x + radius + 1.0, y + radius + 1.0,
                 [&](std::int64_t column, std::int64_t row) {
                   const double distance = std::hypot(static_cast<double>(column) + 0.5 - x,
                                                      static_cast<double>(row) + 0.5 - y);
                   blend(column, row, colour, opacity * coverage(radius - distance));
                 });
}

double Canvas::text_width(std::string_view text) {
  std::string line = printable(text);
  return kTextScale * stb_easy_font_width(line.data());
}

void Canvas::text(double x, double y, std::string_view text, Colour colour, Anchor anchor,
                  bool bold) {
  std::string line = printable(text);
  if (anchor != Anchor::left) x -= text_width(line) * (anchor == Anchor::centre ? 0.5 : 1.0);
  x = std::round(x), y = std::round(y - 0.5 * kTextHeight);
  // Quads of four corners (x, y, z, colour), clockwise from the upper left; a character consists of
  // at most 16 quads.
  struct Corner {
    float x, y, z;
    std::uint32_t colour;
  };
  std::vector<std::array<Corner, 4>> quads(16 * line.size() + 1);
  const int count = stb_easy_font_print(0.0f, 0.0f, line.data(), nullptr, quads.data(),
                                        static_cast<int>(quads.size() * sizeof quads[0]));
  for (int i = 0; i < count; ++i) {
    const auto& [upper_left, upper_right, lower_right, lower_left] =
        quads[static_cast<std::size_t>(i)];
    rectangle(x + kTextScale * upper_left.x, y + kTextScale * upper_left.y,
              x + kTextScale * lower_right.x + (bold ? 1.0 : 0.0), y + kTextScale * lower_right.y,
              colour);
  }
}

void Canvas::place(std::int64_t left, std::int64_t top, const Image& picture) {
  for (std::int64_t y = 0; y < picture.height; ++y)
    for (std::int64_t x = 0; x < picture.width; ++x) {
      if (left + x < 0 || left + x >= width() || top + y < 0 || top + y >= height()) continue;
      const std::uint8_t* from =
          &picture.pixels[static_cast<std::size_t>((y * picture.width + x) * picture.channels)];
      const Colour colour = picture.channels == 3 ? Colour{from[0], from[1], from[2]}
                                                  : Colour{from[0], from[0], from[0]};
      blend(left + x, top + y, colour, 1.0);
    }
}

}  // namespace elbo
