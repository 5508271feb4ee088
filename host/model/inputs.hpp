// Settings of a model's inputs: the conversion from stored values to x, and from x to the encoder's
// input.
#pragma once

#include "host/data/dataset.hpp"
#include "host/model/likelihood.hpp"
#include "kernels/batch.hpp"
#include "kernels/math/corruption.hpp"

namespace elbo {

enum class Dequantization { uniform, none };
constexpr auto names_of(Dequantization) {
  return std::array<std::string_view, 2>{"uniform", "none"};
}
enum class Binarization { automatic, dynamic, fixed, none };
constexpr auto names_of(Binarization) {
  return std::array<std::string_view, 4>{"auto", "dynamic", "fixed", "none"};
}
enum class Flip { none, horizontal };
constexpr auto names_of(Flip) { return std::array<std::string_view, 2>{"none", "horizontal"}; }

struct InputSettings {
  static constexpr std::string_view title = "inputs";
  Dequantization dequantize = Dequantization::uniform;
  Binarization binarize = Binarization::automatic;
  math::Corruption corruption = math::Corruption::of<math::NoCorruption>();
  double corruption_level = 0.25;
  Flip flip = Flip::none;
  int64_t shift = 0;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("dequantize", s.dequantize, Any{},
      "noise on 8-bit data under a Gaussian likelihood: uniform (densities are then comparable), "
      "or none (x = v/255)");
    v("binarize", s.binarize, Any{},
      "binarization: dynamic (drawn at every step), fixed (drawn once), none (grey values), or "
      "auto (dynamic for likelihood bernoulli, else none)");
    v("corruption", s.corruption, Any{},
      "corruption of the encoder's input in training, while clean x is reconstructed (`elbo list "
      "corruptions`)");
    v("corruption-level", s.corruption_level, AtLeast{0, 1e3},
      "gaussian: standard deviation; masking, salt-and-pepper: probability that an element is "
      "corrupted");
    v("flip", s.flip, Any{},
      "random flip of training pictures: none, or horizontal (with probability 1/2)");
    v("shift", s.shift, AtLeast{0, 1e6},
      "largest random shift of training pictures in pixels, in every direction, with mirrored "
      "edges; 0: none");
  }
  bool operator==(const InputSettings&) const = default;

  bool corrupts() const { return corruption != math::Corruption::of<math::NoCorruption>(); }
  /// Returns the conversion from stored values of this type to x.
  DataView view(const LikelihoodSettings& likelihood, DType dtype) const;

  void check(Combination& c, const LikelihoodSettings& l) const;
  void check(Combination& c, const LikelihoodSettings& l, DType dtype) const;
  /// Throws DataError if values are outside of [0, 1] although the likelihood or the corruption
  /// needs this range, or if rows are no pictures although a setting needs pictures.
  void check(const LikelihoodSettings& likelihood, const Dataset& dataset) const;
};

}  // namespace elbo
