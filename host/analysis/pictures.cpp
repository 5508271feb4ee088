#include "host/analysis/pictures.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "host/analysis/palette.hpp"
#include "host/analysis/plot.hpp"
#include "host/data/sample_pictures.hpp"
#include "host/io/formatted.hpp"

namespace elbo {
namespace {

using Anchor = Canvas::Anchor;

constexpr Colour kInactive = {190, 190, 190};
constexpr double kMargin = 28.0;

std::string dimension_name(size_t j) { return "z" + std::to_string(j); }

/// Draws a square of colour and its name; returns the x at which the next key may begin.
double draw_key(Canvas& canvas, double x, double y, Colour colour, const std::string& name) {
  canvas.rectangle(x, y - 8.0, x + 16.0, y + 8.0, colour);
  canvas.text(x + 26.0, y, name, kBlack);
  return x + 26.0 + Canvas::text_width(name) + 30.0;
}

/// Draws circles of one, two and three standard deviations, as far as they are inside the plot.
/// Returns true if anything was drawn.
bool draw_prior(Canvas& canvas, const Plot& plot) {
  bool drawn = false;
  constexpr int kSegments = 180;
  const auto inside = [&](double x, double y) {
    return x > plot.x_low && x < plot.x_high && y > plot.y_low && y < plot.y_high;
  };
  for (const double radius : {1.0, 2.0, 3.0})
    for (int i = 0; i < kSegments; ++i) {
      const double from = 2.0 * std::numbers::pi * i / kSegments;
      const double to = 2.0 * std::numbers::pi * (i + 1) / kSegments;
      const double x0 = radius * std::cos(from), y0 = radius * std::sin(from);
      const double x1 = radius * std::cos(to), y1 = radius * std::sin(to);
      if (!inside(x0, y0) || !inside(x1, y1)) continue;
      canvas.line(plot.x(x0), plot.y(y0), plot.x(x1), plot.y(y1), 1.2, kGrey);
      drawn = true;
    }
  return drawn;
}

}  // namespace

Image draw_kl(const PosteriorAnalysis& posterior, const std::string& subtitle) {
  const size_t latent = posterior.kl.size();
  std::vector<size_t> order(latent);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](size_t j) { return posterior.kl[j]; });
  constexpr double kLeastScale = 0.05;  // avoids magnifying a negligible KL
  const double largest = std::max(posterior.kl[order[0]], kLeastScale);
  const auto value_text = [tiny = posterior.kl[order[0]] < 0.1](double kl) {
    return tiny ? formatted("{:.1g}", kl) : formatted("{:.2f}", kl);
  };
  Canvas canvas(std::max<int64_t>(1100, 120 + 2 * static_cast<int64_t>(latent)), 620);
  const Plot plot{.left = 90.0,
                  .top = 150.0,
                  .right = static_cast<double>(canvas.width()) - kMargin,
                  .bottom = 540.0,
                  .x_low = 0.0,
                  .x_high = static_cast<double>(latent),
                  .y_low = 0.0,
                  .y_high = 1.1 * largest};
  draw_title(
      canvas, kMargin,
      formatted("KL(q(z|x) || N(0, I)) by dimension: {:.4g} nats in all", posterior.total_kl),
      subtitle);
  plot.draw_y_axis(canvas, "nats");
  std::vector<bool> active(latent, true);
  for (const size_t j : posterior.inactive) active[j] = false;
  const double slot = (plot.right - plot.left) / static_cast<double>(latent);
  const double gap = slot >= 6.0 ? 0.15 * slot : 0.0;
  double widest_name = 0.0, widest_value = 0.0;
  for (const size_t j : order) {
    widest_name = std::max(widest_name, Canvas::text_width(dimension_name(j)));
    widest_value = std::max(widest_value, Canvas::text_width(value_text(posterior.kl[j])));
  }
  for (size_t i = 0; i < latent; ++i) {
    const double kl = posterior.kl[order[i]], left = plot.x(static_cast<double>(i));
    canvas.rectangle(left + gap, plot.y(kl), left + slot - gap, plot.bottom,
                     active[order[i]] ? kCategories[0] : kInactive);
    if (widest_value + 6.0 <= slot) {
      const double half = 0.5 * widest_value + 2.0, middle = left + 0.5 * slot;
      canvas.rectangle(middle - half, plot.y(kl) - 24.0, middle + half, plot.y(kl) - 3.0, kWhite);
      canvas.text(middle, plot.y(kl) - 13.0, value_text(kl), kGrey, Anchor::centre);
    }
    if (widest_name + 6.0 <= slot)
      canvas.text(left + 0.5 * slot, plot.bottom + 20.0, dimension_name(order[i]), kGrey,
                  Anchor::centre);
  }
  canvas.line(plot.left, plot.bottom, plot.right, plot.bottom, 1.5, kGrey);
  canvas.text(0.5 * (plot.left + plot.right), plot.bottom + 50.0,
              formatted("{} dimensions, the largest first", latent), kBlack, Anchor::centre);
  const double next = draw_key(
      canvas, plot.left, plot.top - 58.0, kCategories[0],
      formatted("{} active: variance of mu over rows > 0.01", latent - posterior.inactive.size()));
  draw_key(canvas, next, plot.top - 58.0, kInactive,
           formatted("{} inactive", posterior.inactive.size()));
  return canvas.image();
}

Image draw_codes(const LatentSpace& space, std::span<const int32_t> labels,
                 const std::string& subtitle) {
  constexpr double kSide = 760.0;
  constexpr size_t kMostKeys = 24;
  const size_t a = std::min(space.order[0], space.order[1]);
  const size_t b = std::max(space.order[0], space.order[1]);
  std::vector<int32_t> classes(labels.begin(), labels.end());
  std::ranges::sort(classes);
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());

  // Uses equal scales for both axes and omits the outermost 0.2 % on each side.
  Plot plot{90.0, 124.0, 90.0 + kSide, 124.0 + kSide, 0, 0, 0, 0};
  const auto frame = [&](size_t j, double& low, double& high) {
    LatentSpace own;  // quantiles of the codes, even if there is a prior
    own.latent = space.latent, own.codes = space.codes;
    low = own.quantile(j, 0.002), high = own.quantile(j, 0.998);
  };
  frame(a, plot.x_low, plot.x_high);
  frame(b, plot.y_low, plot.y_high);
  const double span = 1.12 * std::max({plot.x_high - plot.x_low, plot.y_high - plot.y_low, 1e-3});
  for (auto [low, high] : {std::pair{&plot.x_low, &plot.x_high}, {&plot.y_low, &plot.y_high}}) {
    const double middle = 0.5 * (*low + *high);
    *low = middle - 0.5 * span, *high = middle + 0.5 * span;
  }

  Canvas canvas(static_cast<int64_t>(plot.right) + (classes.empty() ? 40 : 170),
                static_cast<int64_t>(plot.bottom) + 80);
  plot.draw_x_axis(canvas, dimension_name(a), true);
  plot.draw_y_axis(canvas, dimension_name(b));
  const double radius = space.rows() > 5000 ? 2.2 : space.rows() > 1000 ? 3.0 : 4.0;
  const double opacity = space.rows() > 1000 ? 0.6 : 0.8;
  for (size_t row = 0; row < space.rows(); ++row) {
    const double x = plot.x(space.codes[row * space.latent + a]);
    const double y = plot.y(space.codes[row * space.latent + b]);
    if (x < plot.left || x > plot.right || y < plot.top || y > plot.bottom) continue;
    Colour colour = kGrey;
    if (!labels.empty()) {
      const auto found = std::ranges::lower_bound(classes, labels[row]);
      colour = category_colour(static_cast<size_t>(found - classes.begin()), classes.size());
    }
    canvas.disc(x, y, radius, colour, opacity);
  }
  const bool circles = space.prior && draw_prior(canvas, plot);
  draw_title(canvas, kMargin, formatted("Codes: z{} and z{}", a, b),
             subtitle + (circles ? "; circles: 1, 2, 3 sd of the prior" : ""));
  if (classes.empty()) return canvas.image();
  canvas.text(plot.right + 30.0, plot.top, "label", kBlack);
  for (size_t i = 0; i < std::min(kMostKeys, classes.size()); ++i)
    draw_key(canvas, plot.right + 30.0, plot.top + 30.0 + 28.0 * static_cast<double>(i),
             category_colour(i, classes.size()), std::to_string(classes[i]));
  if (classes.size() > kMostKeys)
    canvas.text(plot.right + 30.0, plot.top + 30.0 + 28.0 * kMostKeys,
                formatted("+ {}", classes.size() - kMostKeys), kGrey);
  return canvas.image();
}

Image draw_grid(const LabelledGrid& grid, const Shape& sample_shape) {
  constexpr int64_t kGutter = 3, kLeastPitch = 22;  // a line of text
  const auto dim = static_cast<size_t>(element_count(sample_shape));
  const size_t rows = grid.pictures.size() / dim / grid.columns;
  const auto row_of_tiles = [&](size_t row) {
    return tile_grid(grid.pictures.subspan(row * grid.columns * dim, grid.columns * dim),
                     sample_shape,
                     {.columns = static_cast<int64_t>(grid.columns), .gutter = kGutter});
  };
  Image tiles = row_of_tiles(0);
  const int64_t pitch = std::max(tiles.height - kGutter, kLeastPitch);
  double names_width = 0.0;
  for (const std::string& name : grid.row_names)
    names_width = std::max(names_width, Canvas::text_width(name) + 16.0);
  const auto left = static_cast<int64_t>(kMargin + names_width);
  const int64_t top = static_cast<int64_t>(kTitleHeight) + (grid.column_names.empty() ? 0 : 28);
  const int64_t bottom = top + (static_cast<int64_t>(rows) - 1) * pitch + tiles.height;
  const double titles = std::max(Canvas::text_width(grid.title), Canvas::text_width(grid.subtitle));
  Canvas canvas(std::max(left + tiles.width, static_cast<int64_t>(kMargin + titles)) + 28,
                bottom + (grid.bottom_name.empty() ? 28 : 60));
  draw_title(canvas, kMargin, grid.title, grid.subtitle);
  const double width = static_cast<double>(tiles.width) / static_cast<double>(grid.columns);
  for (size_t row = 0; row < rows; ++row) {
    const int64_t row_top = top + static_cast<int64_t>(row) * pitch;
    if (row > 0) tiles = row_of_tiles(row);
    canvas.place(left, row_top, tiles);
    if (row < grid.row_names.size())
      canvas.text(static_cast<double>(left) - 12.0,
                  static_cast<double>(row_top) + 0.5 * static_cast<double>(tiles.height),
                  grid.row_names[row], kBlack, Anchor::right);
  }
  double free_from = 0.0;  // a name that would touch the previous one is omitted
  for (size_t i = 0; i < grid.column_names.size(); ++i) {
    const double middle = static_cast<double>(left) + width * (static_cast<double>(i) + 0.5);
    const double half = 0.5 * Canvas::text_width(grid.column_names[i]);
    if (grid.column_names[i].empty() || middle - half < free_from) continue;
    canvas.text(middle, static_cast<double>(top) - 16.0, grid.column_names[i], kGrey,
                Anchor::centre);
    free_from = middle + half + 6.0;
  }
  canvas.text(static_cast<double>(left) + 0.5 * static_cast<double>(tiles.width),
              static_cast<double>(bottom) + 28.0, grid.bottom_name, kBlack, Anchor::centre);
  return canvas.image();
}

Image draw_traversals(const Traversals& traversals, const LatentSpace& space,
                      const Shape& sample_shape, const std::string& subtitle) {
  LabelledGrid grid{.pictures = traversals.means,
                    .columns = Traversals::kColumns,
                    .row_names = {},
                    .column_names = {},
                    .title = space.prior
                                 ? "Traversals: E[x|z], one element of z changed from 0"
                                 : "Traversals: E[x|z], one element of z changed from its mean",
                    .subtitle = subtitle,
                    .bottom_name = {}};
  for (const size_t j : traversals.dimensions) grid.row_names.push_back(dimension_name(j));
  for (size_t i = 0; i < Traversals::kColumns; ++i) {
    if (space.prior)
      grid.column_names.push_back(tick_label(traversals.values[i]));
    else
      grid.column_names.push_back(i == 0 ? "1 %" : i == Traversals::kColumns - 1 ? "99 %" : "");
  }
  grid.bottom_name = space.prior ? "value, in standard deviations of the prior"
                                 : "value, between these quantiles of the codes";
  return draw_grid(grid, sample_shape);
}

Image draw_interpolations(const Interpolations& interpolations, const Shape& sample_shape,
                          const std::string& subtitle) {
  LabelledGrid grid{.pictures = interpolations.pictures,
                    .columns = Interpolations::kSteps + 2,
                    .row_names = {},
                    .column_names = {"x"},
                    .title = "Interpolations: E[x|z], z from one row's code to another's",
                    .subtitle = subtitle,
                    .bottom_name = "part of the way"};
  for (size_t i = 0; i < Interpolations::kSteps; ++i) {
    const double part = static_cast<double>(i) / (Interpolations::kSteps - 1);
    grid.column_names.push_back(i % 2 == 0 ? formatted("{:.3g}", part) : "");
  }
  grid.column_names.push_back("x'");
  for (size_t pair = 0; pair < interpolations.from.size(); ++pair)
    grid.row_names.push_back(
        formatted("{}, {}", interpolations.from[pair], interpolations.to[pair]));
  return draw_grid(grid, sample_shape);
}

Image draw_manifold(const Manifold& manifold, bool prior, const Shape& sample_shape) {
  LabelledGrid grid{.pictures = manifold.means,
                    .columns = Manifold::kSide,
                    .row_names = {},
                    .column_names = {},
                    .title = "The plane of codes: E[x|z]",
                    .subtitle = prior ? "a grid of quantiles of the prior N(0, I), 2.5 % to 97.5 %"
                                      : "a grid of quantiles of the codes, 2.5 % to 97.5 %",
                    .bottom_name = "z0"};
  for (size_t i = 0; i < Manifold::kSide; ++i) {
    grid.row_names.push_back(i % 4 == 0 || i + 1 == Manifold::kSide
                                 ? formatted("{:.2f}", manifold.z1[Manifold::kSide - 1 - i])
                                 : "");
    grid.column_names.push_back(
        i % 4 == 0 || i + 1 == Manifold::kSide ? formatted("{:.2f}", manifold.z0[i]) : "");
  }
  grid.row_names[Manifold::kSide / 2] = "z1";
  return draw_grid(grid, sample_shape);
}

Image draw_deviations(const DecoderVariance& decoder, const Shape& sample_shape,
                      const std::string& subtitle) {
  constexpr Colour kFloor = {213, 94, 0};
  const PictureLayout layout = picture_layout(sample_shape);
  const int64_t scale = std::max<int64_t>(1, 560 / std::max(layout.height, layout.width));
  std::vector<double> values;  // [height, width], log10 of sigma
  std::vector<bool> at_floor;
  for (int64_t y = 0; y < layout.height; ++y)
    for (int64_t x = 0; x < layout.width; ++x) {
      double sum = 0.0;
      bool floor = true;
      for (int64_t c = 0; c < layout.channels; ++c) {
        const auto element =
            static_cast<size_t>(y * layout.step_y + x * layout.step_x + c * layout.step_c);
        sum += decoder.mean[element] / static_cast<double>(layout.channels);
        floor = floor && decoder.floor_part[element] == 1.0;
      }
      values.push_back(std::log10(sum));
      at_floor.push_back(floor);
    }
  const auto [low, high] = std::ranges::minmax(values);
  const double range = std::max(high - low, 1e-6);

  const double left = 40.0, top = kTitleHeight + 16.0;
  const double width = static_cast<double>(layout.width * scale);
  const double height = static_cast<double>(layout.height * scale);
  const double bar_left = left + width + 40.0, bar_right = bar_left + 26.0;
  Canvas canvas(std::max<int64_t>(760, static_cast<int64_t>(bar_right) + 130),
                static_cast<int64_t>(top + std::max(height, 200.0)) + 70);
  draw_title(canvas, kMargin, "Decoder's standard deviation, mean over rows", subtitle);
  for (int64_t y = 0; y < layout.height; ++y)
    for (int64_t x = 0; x < layout.width; ++x) {
      const auto i = static_cast<size_t>(y * layout.width + x);
      const double from_x = left + static_cast<double>(x * scale);
      const double from_y = top + static_cast<double>(y * scale);
      canvas.rectangle(from_x, from_y, from_x + static_cast<double>(scale),
                       from_y + static_cast<double>(scale),
                       at_floor[i] ? kFloor : sequential_colour((values[i] - low) / range));
    }
  const double bottom = top + std::max(height, 200.0);
  for (double y = top; y < bottom; ++y)
    canvas.rectangle(bar_left, y, bar_right, y + 1.0,
                     sequential_colour((bottom - y) / (bottom - top)));
  for (const double value : ticks_of_powers(std::pow(10.0, low), std::pow(10.0, high))) {
    const double y = bottom - (std::log10(value) - low) / range * (bottom - top);
    canvas.line(bar_right, y, bar_right + 6.0, y, 1.5, kGrey);
    canvas.text(bar_right + 12.0, y, tick_label(value), kGrey);
  }
  if (decoder.always_at_floor.empty())
    canvas.text(
        left, bottom + 34.0,
        formatted("no element is at the floor of {:.2g} in every row", smallest_deviation()),
        kGrey);
  else
    draw_key(canvas, left, bottom + 34.0, kFloor,
             formatted("at the floor of {:.2g} in every row: {} of {} elements",
                       smallest_deviation(), decoder.always_at_floor.size(), decoder.mean.size()));
  return canvas.image();
}

}  // namespace elbo
