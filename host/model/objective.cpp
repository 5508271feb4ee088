#include "host/model/objective.hpp"

namespace elbo {

void ObjectiveSettings::check(const BottleneckSettings& b) const {
  const std::string bottleneck = said(b, b.bottleneck);
  refuse_if(code_l1 > 0.0 && b.bottleneck != Bottleneck::deterministic, said(*this, code_l1),
            bottleneck,
            b.gaussian() ? "a Gaussian code is never sparse; use bottleneck deterministic, or beta "
                           "to weight its KL term"
                         : "there is no code; use bottleneck deterministic, or code-l1 0");
  const auto needs_kl = [&](auto ObjectiveSettings::*member) {
    const ObjectiveSettings plain;
    refuse_if(this->*member > 0 && !b.gaussian(), said(*this, this->*member), bottleneck,
              "there is no KL term; use bottleneck gaussian, or " + said(plain, plain.*member));
  };
  needs_kl(&ObjectiveSettings::kl_warmup_epochs);
  needs_kl(&ObjectiveSettings::kl_warmup_steps);
  needs_kl(&ObjectiveSettings::kl_cycles);
  needs_kl(&ObjectiveSettings::free_bits);
  needs_kl(&ObjectiveSettings::kl_capacity);
  const std::string warmup =
      kl_warmup_steps > 0 ? said(*this, kl_warmup_steps) : said(*this, kl_warmup_epochs);
  refuse_if(kl_warmup_steps > 0 && kl_warmup_epochs > 0.0, warmup, said(*this, kl_warmup_epochs),
            "use only one of them");
  refuse_if(kl_cycles > 0 && (kl_warmup_steps > 0 || kl_warmup_epochs > 0.0),
            said(*this, kl_cycles), warmup,
            "each cycle is a warm-up of its own; use kl-cycle-rise for its length");
  refuse_if(kl_capacity > 0.0 && free_bits > 0.0, said(*this, kl_capacity), said(*this, free_bits),
            "both set a KL target; use only one");
  refuse_if(kl_capacity_epochs > 0.0 && kl_capacity == 0.0, said(*this, kl_capacity_epochs),
            said(*this, kl_capacity),
            "there is no capacity to grow; use kl-capacity for its final value");
  if (objective != Objective::iwae) return;
  const std::string iwae = said(*this, objective);
  refuse_if(!b.gaussian(), iwae, bottleneck,
            "its importance weights need q(z|x); use bottleneck gaussian, or objective elbo");
  const char* advice = "the IWAE bound has no separate KL term; use beta, or objective elbo";
  refuse_if(free_bits > 0.0, iwae, said(*this, free_bits), advice);
  refuse_if(kl_capacity > 0.0, iwae, said(*this, kl_capacity), advice);
  refuse_if(reconstruction_weight != 1.0, iwae, said(*this, reconstruction_weight),
            "a bound on log p(x) contains the likelihood once; use reconstruction-weight 1");
}

}  // namespace elbo
