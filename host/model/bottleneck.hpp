// Settings of the bottleneck between the encoder's last hidden layer and the code z.
#pragma once

#include "host/model/likelihood.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

enum class Bottleneck { gaussian, deterministic, none };
constexpr auto names_of(Bottleneck) {
  return std::array<std::string_view, 3>{"gaussian", "deterministic", "none"};
}
enum class PosteriorVariance { input, shared };
constexpr auto names_of(PosteriorVariance) {
  return std::array<std::string_view, 2>{"input", "shared"};
}

struct BottleneckSettings {
  static constexpr std::string_view title = "bottleneck";
  Bottleneck bottleneck = Bottleneck::gaussian;
  int64_t latent_dim = 32;
  math::Activation code_activation = math::Activation::of<math::Identity>();
  PosteriorVariance posterior_variance = PosteriorVariance::input;
  int64_t samples = 1;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("bottleneck", s.bottleneck, Any{},
      "code z: gaussian (drawn from q(z|x)), deterministic (a layer), or none (the last hidden "
      "layer, for a classifier alone)");
    v("latent-dim", s.latent_dim, AtLeast{1, 1e6}, "dimension of z");
    v("code-activation", s.code_activation, Any{}, "activation of a deterministic code");
    v("posterior-variance", s.posterior_variance, Any{},
      "variance of q(z|x): input (a function of x), or shared (one per latent dimension)");
    v("samples", s.samples, AtLeast{1, 1e5}, "number of posterior samples per input (k)");
  }
  bool operator==(const BottleneckSettings&) const = default;

  bool gaussian() const { return bottleneck == Bottleneck::gaussian; }
  void check(Combination& c, const LikelihoodSettings& likelihood) const;
};

}  // namespace elbo
