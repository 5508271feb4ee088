// Corruptions of a denoising autoencoder's input, one struct each, and the list they are chosen
// from (Vincent, Larochelle, Lajoie, Bengio, Manzagol, "Stacked Denoising Autoencoders", 2010).
#pragma once

#include <concepts>

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

/// The noise that the corruption of an element needs.
enum class CorruptionNoise { none, uniform, normal };

template <class C>
concept CorruptionFormula = requires(float v) {
  { C::name } -> std::convertible_to<std::string_view>;
  { C::summary } -> std::convertible_to<std::string_view>;
  { C::noise } -> std::convertible_to<CorruptionNoise>;
  { C::corrupt(v, v, v) } -> std::same_as<float>;
};

struct NoCorruption {
  static constexpr std::string_view name = "none";
  static constexpr std::string_view summary = "the input as it is";
  static constexpr CorruptionNoise noise = CorruptionNoise::none;
  ELBO_HD static float corrupt(float x, float, float) { return x; }
};

/// x + level * n, n ~ N(0, 1)
struct GaussianCorruption {
  static constexpr std::string_view name = "gaussian";
  static constexpr std::string_view summary = "adds noise of standard deviation corruption-level";
  static constexpr CorruptionNoise noise = CorruptionNoise::normal;
  ELBO_HD static float corrupt(float x, float n, float level) { return fma(level, n, x); }
};

/// 0 with probability level, by u ~ U[0, 1)
struct Masking {
  static constexpr std::string_view name = "masking";
  static constexpr std::string_view summary =
      "sets an element to 0 with probability "
      "corruption-level";
  static constexpr CorruptionNoise noise = CorruptionNoise::uniform;
  ELBO_HD static float corrupt(float x, float u, float level) { return u < level ? 0.0f : x; }
};

/// 0 or 1, each with probability level / 2, by u ~ U[0, 1)
struct SaltAndPepper {
  static constexpr std::string_view name = "salt-and-pepper";
  static constexpr std::string_view summary =
      "sets an element to 0 or 1, each with probability corruption-level / 2";
  static constexpr CorruptionNoise noise = CorruptionNoise::uniform;
  ELBO_HD static float corrupt(float x, float u, float level) {
    return u < 0.5f * level ? 0.0f : u < level ? 1.0f : x;
  }
};

template <CorruptionFormula... Members>
struct CorruptionList : List<Members...> {};

using Corruptions = CorruptionList<NoCorruption, GaussianCorruption, Masking, SaltAndPepper>;
using Corruption = Choice<Corruptions>;

}  // namespace elbo::math
