// Linear resampling of pictures. Each is separable: the one-dimensional weights below are applied
// along height and width.
#pragma once

#include <concepts>
#include <string_view>

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

/// The two coarse indices of a fine pixel, and their weights.
template <class T>
struct Taps {
  int32_t first, second;
  T first_weight, second_weight;
};

/// Each pixel becomes factor x factor copies.
struct NearestUpsampling {
  static constexpr std::string_view name = "nearest";
  static constexpr std::string_view summary = "upsampling: each pixel is repeated";
  static constexpr bool enlarges = true;
  ELBO_HD static int32_t reach(int32_t) { return 0; }

  /// For index `fine` of factor * size.
  template <class T>
  ELBO_HD static Taps<T> taps(int32_t fine, int32_t factor, int32_t) {
    return {fine / factor, fine / factor, T(1), T(0)};
  }
};

/// Linear between the centres of pixels, constant beyond the outermost centres (PyTorch's bilinear
/// with align_corners false).
struct BilinearUpsampling {
  static constexpr std::string_view name = "bilinear";
  static constexpr std::string_view summary = "upsampling: linear between pixels' centres";
  static constexpr bool enlarges = true;
  ELBO_HD static int32_t reach(int32_t factor) { return factor / 2; }

  template <class T>
  ELBO_HD static Taps<T> taps(int32_t fine, int32_t factor, int32_t size) {
    // Twice the distance of the fine pixel's centre from the first coarse centre, in fine pixels:
    // an exact integer.
    const int32_t twice = 2 * fine + 1 - factor;
    if (twice <= 0) return {0, 0, T(1), T(0)};
    const int32_t first = twice / (2 * factor);
    if (first >= size - 1) return {size - 1, size - 1, T(1), T(0)};
    const T weight = T(twice - 2 * factor * first) / T(2 * factor);
    return {first, first + 1, T(1) - weight, weight};
  }
};

/// The mean of each factor x factor pixels; a remainder at the far edges is ignored.
struct AveragePooling {
  static constexpr std::string_view name = "average";
  static constexpr std::string_view summary = "pooling: the mean of neighbouring pixels";
  static constexpr bool enlarges = false;
  ELBO_HD static int32_t reach(int32_t) { return 0; }

  /// The weight of a fine pixel in the coarse grid of `size` pixels.
  template <class T>
  ELBO_HD static Taps<T> taps(int32_t fine, int32_t factor, int32_t size) {
    const int32_t place = fine / factor;
    if (place >= size) return {size - 1, size - 1, T(0), T(0)};
    return {place, place, T(1) / T(factor), T(0)};
  }
};

template <class R>
concept ResamplingFormula = requires(int32_t i) {
  { R::name } -> std::convertible_to<std::string_view>;
  { R::summary } -> std::convertible_to<std::string_view>;
  { R::enlarges } -> std::convertible_to<bool>;
  // The number of fine indices on either side of a coarse index's own `factor` fine indices that
  // may also have a weight for it.
  { R::reach(i) } -> std::same_as<int32_t>;
  { R::template taps<float>(i, i, i) } -> std::same_as<Taps<float>>;
};

template <ResamplingFormula... Members>
struct ResamplingList : List<Members...> {};

using Resamplings = ResamplingList<NearestUpsampling, BilinearUpsampling, AveragePooling>;
using Resampling = Choice<Resamplings>;

}  // namespace elbo::math
