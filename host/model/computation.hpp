// Settings of precision and randomness.
#pragma once

#include "host/model/bottleneck.hpp"
#include "kernels/core/precision.hpp"
#include "kernels/device.hpp"

namespace elbo {

enum class NoiseSource { philox, curand };
constexpr auto names_of(NoiseSource) { return std::array<std::string_view, 2>{"philox", "curand"}; }
enum class ChosenPrecision { automatic, fp32, tf32, bf16 };
constexpr auto names_of(ChosenPrecision) {
  return std::array<std::string_view, 4>{"auto", "fp32", "tf32", "bf16"};
}

constexpr ChosenPrecision chosen(Precision precision) {
  return precision == Precision::fp32   ? ChosenPrecision::fp32
         : precision == Precision::tf32 ? ChosenPrecision::tf32
                                        : ChosenPrecision::bf16;
}

/// Returns the precision with this name. Throws ConfigError that lists the valid names.
ChosenPrecision precision_named(std::string_view name);

struct ComputationSettings {
  static constexpr std::string_view title = "computation";
  int64_t seed = 1;
  NoiseSource noise_source = NoiseSource::philox;
  ChosenPrecision precision = ChosenPrecision::automatic;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("seed", s.seed, AtLeast{0, 9.2e18},
      "random seed for weights, shuffling, noise and the validation split");
    v("noise-source", s.noise_source, Any{},
      "source of epsilon: philox (drawn in registers), or curand (cuRAND's generator)");
    v("precision", s.precision, Any{},
      "precision of products in training: fp32; tf32 (GPU only); bf16 (faster on GPUs, and on CPUs "
      "with AMX or AVX512-BF16); auto: tf32 on a GPU, fp32 on a CPU");
  }
  bool operator==(const ComputationSettings&) const = default;

  void check(Combination& c, const BottleneckSettings& b) const {
    c.needs(b.gaussian(), c.said(b.bottleneck), "no code is drawn; use bottleneck gaussian",
            noise_source);
  }
  /// Returns the precision used on this kind of device. Throws ConfigError if the device lacks it.
  Precision precision_on(DeviceKind device) const;
};

}  // namespace elbo
