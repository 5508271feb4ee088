// Convolution shapes for tests of the ops, and an enumeration of the products that they sum.
#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include "kernels/convolution.hpp"

namespace elbo {

/// Calls `meet(wide index, narrow index, weight index)` for every product in a convolution of
/// `rows` rows, in the order of the narrow side's pixels. Indices count elements of the arrays.
template <class Meet>
void for_convolution_products(const ConvolutionShape& s, int64_t rows, Meet meet) {
  const int32_t narrow = s.narrow.channels / s.groups, wide = s.wide.channels / s.groups;
  for (int64_t r = 0; r < rows; ++r)
    for (int32_t p = 0; p < s.narrow.pixels(); ++p)
      for (int32_t tap = 0; tap < s.kernel * s.kernel; ++tap) {
        const int32_t y = p / s.narrow.width * s.stride - s.padding + tap / s.kernel;
        const int32_t x = p % s.narrow.width * s.stride - s.padding + tap % s.kernel;
        if (y < 0 || y >= s.wide.height || x < 0 || x >= s.wide.width) continue;
        const int64_t from = r * s.wide.size() + int64_t{y * s.wide.width + x} * s.wide.channels;
        const int64_t to = r * s.narrow.size() + int64_t{p} * s.narrow.channels;
        for (int32_t n = 0; n < s.narrow.channels; ++n)
          for (int32_t w = 0; w < wide; ++w)
            meet(from + n / narrow * wide + w, to + n,
                 (int64_t{n} * s.kernel * s.kernel + tap) * wide + w);
      }
}

/// A convolution of a batch with room for `capacity` rows, of which the first `active` are real.
struct ConvolutionCase {
  const char* name;
  int32_t capacity, active;
  ConvolutionShape shape;
  int shifted = 0;  // number (from 1) of the float array to misalign by 4 bytes

  size_t wide(int32_t rows) const { return static_cast<size_t>(rows * shape.wide.size()); }
  size_t narrow(int32_t rows) const { return static_cast<size_t>(rows * shape.narrow.size()); }
  size_t weights() const { return static_cast<size_t>(shape.weights()); }
};

inline std::ostream& operator<<(std::ostream& out, const ConvolutionCase& c) {
  const ConvolutionShape& s = c.shape;
  return out << c.name << ": " << c.active << " of " << c.capacity << " rows, " << s.wide.height
             << 'x' << s.wide.width << 'x' << s.wide.channels << " and " << s.narrow.height << 'x'
             << s.narrow.width << 'x' << s.narrow.channels << ", kernel " << s.kernel << ", stride "
             << s.stride << ", padding " << s.padding << ", groups " << s.groups << ", shifted "
             << c.shifted;
}

/// Returns one case with whole 16-byte chunks of channels, as in most layers, and one with partial
/// chunks.
inline std::vector<ConvolutionCase> few_convolutions() {
  return {{"halving", 3, 2, {{8, 6, 8}, {4, 3, 8}, 4, 2, 1, 1}},
          {"odd", 2, 2, {{4, 3, 3}, {4, 3, 5}, 3, 1, 1, 1}}};
}

/// Returns one case for each potential error. Every shape is valid for convolutions and transposed
/// convolutions.
inline std::vector<ConvolutionCase> convolutions() {
  std::vector<ConvolutionCase> all = few_convolutions();
  const ConvolutionCase more[] = {
      {"a pixel a tap", 3, 2, {{3, 5, 1}, {3, 5, 1}, 1, 1, 0, 1}},
      {"stride leaves a remainder, columns beyond a tile",
       2,
       1,
       {{9, 7, 3}, {5, 4, 33}, 5, 2, 2, 1}},
      {"groups in whole chunks", 2, 2, {{5, 4, 12}, {5, 4, 24}, 3, 1, 1, 3}},
      {"groups in broken chunks", 3, 2, {{4, 4, 6}, {2, 2, 10}, 2, 2, 0, 2}},
      {"taps that no pixel meets", 2, 2, {{7, 8, 4}, {2, 3, 4}, 2, 3, 0, 1}},
      {"windows outside", 2, 1, {{4, 5, 5}, {3, 4, 4}, 3, 2, 2, 1}},
      {"output padding", 2, 2, {{6, 8, 4}, {3, 4, 8}, 3, 2, 1, 1}},
      {"slices of the pixels", 5, 4, {{16, 16, 3}, {15, 15, 3}, 2, 1, 0, 1}},
      {"tiles of 32", 3, 3, {{32, 32, 1}, {32, 32, 2}, 1, 1, 0, 1}},
      {"tiles of 64", 6, 6, {{32, 32, 1}, {32, 32, 33}, 1, 1, 0, 1}},
  };
  all.insert(all.end(), std::begin(more), std::end(more));
  for (const int shifted : {1, 2, 3, 4, 5}) {
    all.push_back(all.front());
    all.back().shifted = shifted;
  }
  return all;
}

}  // namespace elbo
