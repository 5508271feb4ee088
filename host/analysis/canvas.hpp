// A picture on which to draw rectangles, antialiased lines and discs, and text.
//
// Positions are in pixels from the upper left corner; (0.5, 0.5) is the centre of the first pixel.
// Everything outside of the picture is clipped.
#pragma once

#include <cstdint>
#include <string_view>

#include "host/io/image.hpp"

namespace elbo {

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
};

inline constexpr Colour kBlack = {34, 34, 34};
inline constexpr Colour kGrey = {110, 110, 110};
inline constexpr Colour kLightGrey = {225, 225, 225};
inline constexpr Colour kWhite = {255, 255, 255};

class Canvas {
 public:
  /// Creates a white picture.
  Canvas(std::int64_t width, std::int64_t height);

  std::int64_t width() const { return image_.width; }
  std::int64_t height() const { return image_.height; }

  void rectangle(double left, double top, double right, double bottom, Colour colour);
  void line(double x0, double y0, double x1, double y1, double width, Colour colour);
  void disc(double x, double y, double radius, Colour colour, double opacity = 1.0);

  enum class Anchor { left, centre, right };
  /// Draws one line of ASCII (other bytes appear as '?') of height kTextHeight. y is the middle of
  /// its capitals, x the position of its anchor. `bold` is for titles.
  void text(double x, double y, std::string_view text, Colour colour, Anchor anchor = Anchor::left,
            bool bold = false);
  static double text_width(std::string_view text);
  static constexpr double kTextHeight = 14.0;  // of capitals

  /// Copies a picture with its upper left corner at (left, top); converts grey to RGB.
  void place(std::int64_t left, std::int64_t top, const Image& picture);

  const Image& image() const { return image_; }  // RGB

 private:
  void blend(std::int64_t x, std::int64_t y, Colour colour, double opacity);

  Image image_;
};

}  // namespace elbo
