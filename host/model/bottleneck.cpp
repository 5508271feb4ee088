#include "host/model/bottleneck.hpp"

namespace elbo {

void BottleneckSettings::check(Combination& c, const LikelihoodSettings& l) const {
  const std::string &kind = c.said(bottleneck), &likelihood = c.said(l.likelihood);
  c.refuse_if(
      l.decodes() && bottleneck == Bottleneck::none, kind, likelihood,
      "a decoder needs a code; use bottleneck gaussian or deterministic, or likelihood none");
  c.refuse_if(
      !l.decodes() && gaussian(), kind, likelihood,
      "its KL term is part of a bound on log p(x); use bottleneck none or deterministic, or "
      "a likelihood");
  c.needs(gaussian(), kind, "there is one code per input; use bottleneck gaussian", samples);
  c.needs(gaussian(), kind, "its code has no variance; use bottleneck gaussian",
          posterior_variance);
  c.idle_unless(bottleneck != Bottleneck::none, "with " + kind, latent_dim);
  c.idle_unless(bottleneck == Bottleneck::deterministic, "with " + kind, code_activation);
}

}  // namespace elbo
