// Settings of a data set: preparation and splits of its rows.
#pragma once

#include "host/data/dataset.hpp"
#include "host/settings/combination.hpp"

namespace elbo {

enum class ValidationSplit { random, last };
constexpr auto names_of(ValidationSplit) {
  return std::array<std::string_view, 2>{"random", "last"};
}

struct DataSettings {
  static constexpr std::string_view title = "data";
  int64_t image_size = 0;
  ImageChannels image_channels = ImageChannels::as_they_are;
  bool skip_bad = false;
  double validation_fraction = 0.1;
  ValidationSplit validation_split = ValidationSplit::random;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("image-size", s.image_size, Between{0, kLargestImageSize},
      "resize the shorter side of pictures to N and crop to N x N; 0: keep the original size");
    v("image-channels", s.image_channels, Any{},
      "channels of pictures: grey, rgb, or auto (grey if all of them are)");
    v("skip-bad", s.skip_bad, Any{}, "leave out pictures that cannot be read, instead of stopping");
    v("validation-fraction", s.validation_fraction, FromBelow{0, 1},
      "fraction of train that is held out if there is no validation file; 0: train on every row");
    v("validation-split", s.validation_split, Any{},
      "rows that are held out: random (chosen by seed), or last");
  }
  bool operator==(const DataSettings&) const = default;

  /// Settings that have no effect on a data set. Throws ConfigError if its rows would not have the
  /// requested shape.
  void check(Combination& c, const Dataset& dataset) const;
};

}  // namespace elbo
