// Settings of the training loss.
#pragma once

#include "host/model/bottleneck.hpp"

namespace elbo {

enum class Objective { elbo, iwae };
constexpr auto names_of(Objective) { return std::array<std::string_view, 2>{"elbo", "iwae"}; }

struct ObjectiveSettings {
  static constexpr std::string_view title = "objective";
  Objective objective = Objective::elbo;
  double reconstruction_weight = 1.0;
  double beta = 1.0;
  double kl_warmup_epochs = 0.0;
  int64_t kl_warmup_steps = 0;
  int64_t kl_cycles = 0;
  double kl_cycle_ratio = 0.5;
  double free_bits = 0.0;
  double kl_capacity = 0.0;
  double kl_capacity_epochs = 0.0;
  double code_l1 = 0.0;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("objective", s.objective, Any{},
      "training objective: elbo (reconstruction - beta KL, averaged over the samples), or iwae "
      "(log of the mean importance weight of the samples, Burda et al. 2016)");
    v("reconstruction-weight", s.reconstruction_weight, AtLeast{0, 1e6},
      "weight of -log p(x|z) in the training loss; 0: decode without reconstructing");
    v("beta", s.beta, AtLeast{0, 1e6}, "weight of the KL divergence in the training loss");
    v("kl-warmup-epochs", s.kl_warmup_epochs, AtLeast{0},
      "number of epochs over which beta grows linearly from 0");
    v("kl-warmup-steps", s.kl_warmup_steps, AtLeast{0, 1e15},
      "number of steps over which beta grows linearly from 0 (instead of --kl-warmup-epochs)");
    v("kl-cycles", s.kl_cycles, AtLeast{0},
      "number of times that beta grows from 0 in the training (Fu et al. 2019); 0: no cycles");
    v("kl-cycle-ratio", s.kl_cycle_ratio, Between{0, 1}, "fraction of a cycle in which beta grows");
    v("free-bits", s.free_bits, AtLeast{0, 1e6},
      "KL per latent dimension (batch mean, in nats) below which it is not penalised (Kingma et "
      "al. 2016)");
    v("kl-capacity", s.kl_capacity, AtLeast{0, 1e6},
      "target of the KL in nats: beta |KL - capacity| (Burgess et al. 2018); 0: plain KL");
    v("kl-capacity-epochs", s.kl_capacity_epochs, AtLeast{0},
      "number of epochs over which the capacity grows linearly from 0");
    v("code-l1", s.code_l1, AtLeast{0, 1e6},
      "weight of sum |z| in the training loss, for a deterministic code");
  }
  bool operator==(const ObjectiveSettings&) const = default;

  void check(Combination& c, const BottleneckSettings& b, const LikelihoodSettings& l) const;
};

}  // namespace elbo
