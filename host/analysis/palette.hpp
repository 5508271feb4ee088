// Colours that remain distinguishable with colour vision deficiency.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "host/analysis/canvas.hpp"

namespace elbo {

/// M. A. Petroff, "Accessible color sequences for data visualization", 2021: ten colours.
inline constexpr std::array<Colour, 10> kCategories = {{{63, 144, 218},
                                                        {255, 169, 14},
                                                        {189, 31, 1},
                                                        {148, 164, 162},
                                                        {131, 45, 182},
                                                        {169, 107, 89},
                                                        {231, 99, 0},
                                                        {185, 172, 112},
                                                        {113, 117, 129},
                                                        {146, 218, 221}}};

/// Returns a colour of viridis (S. van der Walt and N. Smith, 2015), interpolated between ten of
/// its colours: dark to bright for values from 0 to 1.
inline Colour sequential_colour(double value) {
  constexpr std::array<Colour, 10> kStops = {{{68, 1, 84},
                                              {72, 40, 120},
                                              {62, 74, 137},
                                              {49, 104, 142},
                                              {38, 130, 142},
                                              {31, 158, 137},
                                              {53, 183, 121},
                                              {109, 205, 89},
                                              {180, 222, 44},
                                              {253, 231, 37}}};
  const double position = std::clamp(value, 0.0, 1.0) * (kStops.size() - 1);
  const auto first = std::min(static_cast<size_t>(position), kStops.size() - 2);
  const double part = position - static_cast<double>(first);
  const auto mix = [&](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(a + part * (b - a) + 0.5);
  };
  const Colour &a = kStops[first], &b = kStops[first + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

/// Returns the colour of one of `categories` categories.
inline Colour category_colour(size_t category, size_t categories) {
  if (categories <= kCategories.size()) return kCategories[category];
  return sequential_colour(static_cast<double>(category) / static_cast<double>(categories - 1));
}

}  // namespace elbo
