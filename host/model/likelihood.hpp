// Settings of the likelihood p(x|z) at the decoder's output.
#pragma once

#include <optional>

#include "host/settings/combination.hpp"
#include "kernels/math/likelihood/all.hpp"

namespace elbo {

enum class OutputInit { data, zero };
constexpr auto names_of(OutputInit) { return std::array<std::string_view, 2>{"data", "zero"}; }

struct LikelihoodSettings {
  static constexpr std::string_view title = "likelihood";
  std::optional<math::Likelihood> likelihood = math::Likelihood::of<math::Gaussian>();
  double mse_variance = 1.0;
  OutputInit output_init = OutputInit::data;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("likelihood", s.likelihood, Any{},
      "likelihood p(x|z) (`elbo list likelihoods`), or none: no decoder");
    v("mse-variance", s.mse_variance, Between{1e-6, 1e6}, "variance of likelihood mse");
    v("output-init", s.output_init, Any{},
      "initial bias of the decoder's output: data (mean and variance of the data), or zero");
  }
  bool operator==(const LikelihoodSettings&) const = default;

  bool decodes() const { return likelihood.has_value(); }
  /// Returns the domain of the likelihood; real without a likelihood.
  math::DataRange range() const {
    auto range = math::DataRange::real;
    if (likelihood) likelihood->visit([&](auto l) { range = decltype(l)::range; });
    return range;
  }
  void check(Combination& c) const {
    c.idle_unless(likelihood == math::Likelihood::of<math::Mse>(), "with " + c.said(likelihood),
                  mse_variance);
    c.idle_unless(decodes(), "with " + c.said(likelihood), output_init);
  }
};

}  // namespace elbo
