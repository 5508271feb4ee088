#include "host/model/objective.hpp"

namespace elbo {

void ObjectiveSettings::check(Combination& c, const BottleneckSettings& b,
                              const LikelihoodSettings& l) const {
  const std::string& bottleneck = c.said(b.bottleneck);
  c.needs(b.bottleneck == Bottleneck::deterministic, bottleneck,
          b.gaussian()
              ? "a Gaussian code is never sparse; use bottleneck deterministic, or beta to "
                "weight its KL term"
              : "there is no code; use bottleneck deterministic, or code-l1 0",
          code_l1);
  c.needs(b.gaussian(), bottleneck, "there is no KL term; use bottleneck gaussian",
          kl_warmup_epochs, kl_warmup_steps, kl_cycles, free_bits, kl_capacity);
  c.idle_unless(b.gaussian(), "with " + bottleneck, beta);
  c.idle_unless(beta > 0.0, "with " + c.said(beta), kl_warmup_epochs, kl_warmup_steps, kl_cycles,
                free_bits, kl_capacity, kl_capacity_epochs);
  c.idle_unless(l.decodes(), "with " + c.said(l.likelihood), reconstruction_weight);
  c.idle_unless(kl_cycles > 0, "with " + c.said(kl_cycles), kl_cycle_ratio);
  const std::string& warmup =
      kl_warmup_steps > 0 ? c.said(kl_warmup_steps) : c.said(kl_warmup_epochs);
  c.refuse_if(kl_warmup_steps > 0 && kl_warmup_epochs > 0.0, warmup, c.said(kl_warmup_epochs),
              "use only one of them");
  c.refuse_if(kl_cycles > 0 && (kl_warmup_steps > 0 || kl_warmup_epochs > 0.0), c.said(kl_cycles),
              warmup, "each cycle is a warm-up of its own; use kl-cycle-ratio for its length");
  c.refuse_if(kl_capacity > 0.0 && free_bits > 0.0, c.said(kl_capacity), c.said(free_bits),
              "both set a KL target; use only one");
  c.needs(kl_capacity > 0.0, c.said(kl_capacity),
          "there is no capacity to grow; use kl-capacity for its final value", kl_capacity_epochs);
  if (objective != Objective::iwae) return;
  const std::string& iwae = c.said(objective);
  c.refuse_if(!b.gaussian(), iwae, bottleneck,
              "its importance weights need q(z|x); use bottleneck gaussian, or objective elbo");
  c.needs(false, iwae, "the IWAE bound has no separate KL term; use beta, objective elbo",
          free_bits, kl_capacity);
  c.needs(false, iwae, "a bound on log p(x) contains the likelihood once; use objective elbo",
          reconstruction_weight);
}

}  // namespace elbo
