#include "host/model/bottleneck.hpp"

namespace elbo {

void BottleneckSettings::check(const LikelihoodSettings& l) const {
  const std::string kind = said(*this, bottleneck), likelihood = said(l, l.likelihood);
  refuse_if(l.decodes() && bottleneck == Bottleneck::none, kind, likelihood,
            "a decoder needs a code; use bottleneck gaussian or deterministic, or likelihood none");
  refuse_if(!l.decodes() && gaussian(), kind, likelihood,
            "its KL term is part of a bound on log p(x); use bottleneck none or deterministic, or "
            "a likelihood");
  refuse_if(samples > 1 && !gaussian(), said(*this, samples), kind,
            "there is one code per input; use samples 1, or bottleneck gaussian");
  refuse_if(posterior_variance == PosteriorVariance::shared && !gaussian(),
            said(*this, posterior_variance), kind,
            "its code has no variance; use bottleneck gaussian");
}

}  // namespace elbo
