// Fixed linear changes of a picture's size. Each is separable: the one-dimensional weights below,
// applied along height and width.
#pragma once

#include <concepts>
#include <string_view>

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

/// Two places of a finer grid's pixel in the coarser one, and their weights.
template <class T>
struct Taps {
  int32_t first, second;
  T first_weight, second_weight;
};

/// Each pixel becomes factor x factor of its copies.
struct NearestUpsampling {
  static constexpr std::string_view name = "nearest";
  static constexpr std::string_view summary = "upsampling: each pixel is repeated";
  static constexpr bool enlarges = true;
  ELBO_HD static int32_t reach(int32_t) { return 0; }

  /// Of place `fine` of factor * size ones.
  template <class T>
  ELBO_HD static Taps<T> taps(int32_t fine, int32_t factor, int32_t) {
    return {fine / factor, fine / factor, T(1), T(0)};
  }
};

/// Linear between pixels' centres, constant beyond the outermost ones (PyTorch's bilinear with
/// align_corners false).
struct BilinearUpsampling {
  static constexpr std::string_view name = "bilinear";
  static constexpr std::string_view summary = "upsampling: linear between pixels' centres";
  static constexpr bool enlarges = true;
  ELBO_HD static int32_t reach(int32_t factor) { return factor / 2; }

  template <class T>
  ELBO_HD static Taps<T> taps(int32_t fine, int32_t factor, int32_t size) {
    // Twice the distance of the fine pixel's centre from the coarse grid's first centre, in fine
    // pixels: exact in integers.
    const int32_t twice = 2 * fine + 1 - factor;
    if (twice <= 0) return {0, 0, T(1), T(0)};
    const int32_t first = twice / (2 * factor);
    if (first >= size - 1) return {size - 1, size - 1, T(1), T(0)};
    const T weight = T(twice - 2 * factor * first) / T(2 * factor);
    return {first, first + 1, T(1) - weight, weight};
  }
};

/// The mean of each factor x factor pixels; a remainder at the far edges is left out.
struct AveragePooling {
  static constexpr std::string_view name = "average";
  static constexpr std::string_view summary = "pooling: the mean of neighbouring pixels";
  static constexpr bool enlarges = false;
  ELBO_HD static int32_t reach(int32_t) { return 0; }

  /// What a pixel of the finer grid gives to the coarser one of `size` places.
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
  // How far from a coarse place's own places of the finer grid, of which it has `factor`, other
  // ones may have it among their two.
  { R::reach(i) } -> std::same_as<int32_t>;
  { R::template taps<float>(i, i, i) } -> std::same_as<Taps<float>>;
};

template <ResamplingFormula... Members>
struct ResamplingList : List<Members...> {};

using Resamplings = ResamplingList<NearestUpsampling, BilinearUpsampling, AveragePooling>;
using Resampling = Choice<Resamplings>;

}  // namespace elbo::math
