// Axes with numbers along the edges of a rectangle of a canvas.
#pragma once

#include <string>
#include <vector>

#include "host/analysis/canvas.hpp"

namespace elbo {

/// Returns about `count` round numbers in [low, high], spaced by 1, 2 or 5 times a power of ten.
std::vector<double> ticks_between(double low, double high, int count);

/// Returns round numbers for a logarithmic scale: 1, 2 and 5 times powers of ten if enough of them
/// are in [low, high], else as ticks_between() does.
std::vector<double> ticks_of_powers(double low, double high);

/// Returns the shortest text, for example "-1.5", "0", "2e-05".
std::string tick_label(double value);

/// A rectangle with scales: x to the right, y upwards.
struct Plot {
  double left, top, right, bottom;  // in pixels
  double x_low, x_high, y_low, y_high;

  double x(double value) const {
    return left + (value - x_low) / (x_high - x_low) * (right - left);
  }
  double y(double value) const {
    return bottom - (value - y_low) / (y_high - y_low) * (bottom - top);
  }
  /// Draw an axis with its numbers, grid lines and name.
  void draw_x_axis(Canvas& canvas, std::string_view name, bool grid) const;
  void draw_y_axis(Canvas& canvas, std::string_view name) const;
};

/// Draws a title and, in grey below it, a subtitle.
void draw_title(Canvas& canvas, double left, std::string_view title, std::string_view subtitle);
inline constexpr double kTitleHeight = 84.0;  // of title and subtitle, with their margins

}  // namespace elbo
