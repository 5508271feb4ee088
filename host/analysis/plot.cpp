#include "host/analysis/plot.hpp"

#include <cmath>

#include "host/io/formatted.hpp"

namespace elbo {

std::vector<double> ticks_between(double low, double high, int count) {
  const double rough = (high - low) / count;
  if (!(rough > 0.0) || !std::isfinite(rough)) return {low};
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double multiple = rough / power;
  // Rounds to the nearest of 1, 2, 5 and 10 on a logarithmic scale.
  const double step = power * (multiple < std::sqrt(2.0)    ? 1.0
                               : multiple < std::sqrt(10.0) ? 2.0
                               : multiple < std::sqrt(50.0) ? 5.0
                                                            : 10.0);
  std::vector<double> ticks;
  const double slack = 1e-9 * step;  // includes ends that miss a tick by rounding only
  for (double i = std::ceil((low - slack) / step); i * step <= high + slack; ++i)
    ticks.push_back(i * step);
  return ticks;
}

std::vector<double> ticks_of_powers(double low, double high) {
  constexpr double kSlack = 1e-9;
  constexpr size_t kEnough = 3;
  std::vector<double> ticks;
  for (double power = std::floor(std::log10(low)); power <= std::log10(high); ++power)
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double value = digit * std::pow(10.0, power);
      if (value >= low * (1.0 - kSlack) && value <= high * (1.0 + kSlack)) ticks.push_back(value);
    }
  return ticks.size() >= kEnough ? ticks : ticks_between(low, high, 4);
}

std::string tick_label(double value) {
  return formatted("{:.4g}", value == 0.0 ? 0.0 : value);  // no -0
}

void Plot::draw_x_axis(Canvas& canvas, std::string_view name, bool grid) const {
  for (const double value : ticks_between(x_low, x_high, 5)) {
    if (grid) canvas.line(x(value), top, x(value), bottom, 1.0, kLightGrey);
    canvas.line(x(value), bottom, x(value), bottom + 6.0, 1.5, kGrey);
    canvas.text(x(value), bottom + 20.0, tick_label(value), kGrey, Canvas::Anchor::centre);
  }
  canvas.line(left, bottom, right, bottom, 1.5, kGrey);
  canvas.text(0.5 * (left + right), bottom + 48.0, name, kBlack, Canvas::Anchor::centre);
}

void Plot::draw_y_axis(Canvas& canvas, std::string_view name) const {
  for (const double value : ticks_between(y_low, y_high, 5)) {
    canvas.line(left, y(value), right, y(value), 1.0, kLightGrey);
    canvas.line(left - 6.0, y(value), left, y(value), 1.5, kGrey);
    canvas.text(left - 12.0, y(value), tick_label(value), kGrey, Canvas::Anchor::right);
  }
  canvas.line(left, top, left, bottom, 1.5, kGrey);
  canvas.text(left, top - 20.0, name, kBlack, Canvas::Anchor::centre);
}

void draw_title(Canvas& canvas, double left, std::string_view title, std::string_view subtitle) {
  canvas.text(left, 28.0, title, kBlack, Canvas::Anchor::left, true);
  canvas.text(left, 56.0, subtitle, kGrey);
}

}  // namespace elbo
