// What an evaluation reports.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace elbo {

/// Means over the rows; NaN for what the model has not got. Sums are over a row's elements.
struct Evaluation {
  int64_t count = 0;                   // rows
  double elbo = kNone;                 // reconstruction - kl, in nats
  double elbo_standard_error = kNone;  // of the mean over rows
  double reconstruction = kNone;       // E_q log p(x|z) in nats, one Monte Carlo draw per sample
  double kl = kNone;                   // KL(q(z|x) || N(0, I)) in nats
  double bits_per_dim = kNone;         // -elbo in bits per dimension of the stored values
  double nll = kNone;                  // -log p(x) in nats, importance-sampled: an upper bound
  double nll_standard_error = kNone;   // of the mean over rows
  double nll_bits_per_dim = kNone;     // nll as bits_per_dim has -elbo
  int64_t importance_samples = 0;      // of each row, that nll is made of
  int64_t active_units = 0;            // latents with Var_x[mu(x)] > 0.01 (Burda et al. 2016)
  double squared_error = kNone;        // sum (x - E[x|z])^2, of deterministic codes
  double psnr = kNone;        // of E[x|z], in dB: -10 log10 of the mean squared error of an element
  double input_psnr = kNone;  // of the corrupted input, in dB
  double l1 = kNone;          // sum |z|
  double zero_codes = kNone;  // the part of z's elements that is exactly 0
  double class_loss = kNone;  // the classifier's, cross-entropy in nats
  double accuracy = kNone;    // the part of rows whose likeliest class is their label
  double gan_value = kNone;   // V(D, G) = E log D(real) + E log(1 - D(generated)), in nats
  double d_real = kNone;      // E D(real)
  double d_generated = kNone;  // E D(generated)
  /// What selects a training's best checkpoint: minus the training loss with beta 1, without the
  /// adversarial terms. NaN where nothing remains.
  double score = kNone;

  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
};

/// Calls visit(name, value) for every quantity of an evaluation that the model has got, in order.
template <class Visit>
void for_each_metric(const Evaluation& e, Visit&& visit) {
  const auto see = [&](const char* name, double value) {
    if (!std::isnan(value)) visit(name, value);
  };
  see("elbo", e.elbo);
  see("elbo_standard_error", e.elbo_standard_error);
  see("reconstruction", e.reconstruction);
  see("kl", e.kl);
  see("bits_per_dim", e.bits_per_dim);
  if (!std::isnan(e.elbo)) see("active_units", static_cast<double>(e.active_units));
  see("nll", e.nll);
  see("nll_standard_error", e.nll_standard_error);
  see("nll_bits_per_dim", e.nll_bits_per_dim);
  if (e.importance_samples > 0)
    see("importance_samples", static_cast<double>(e.importance_samples));
  see("squared_error", e.squared_error);
  see("psnr", e.psnr);
  see("input_psnr", e.input_psnr);
  see("l1", e.l1);
  see("zero_codes", e.zero_codes);
  see("class_loss", e.class_loss);
  see("accuracy", e.accuracy);
  see("gan_value", e.gan_value);
  see("d_real", e.d_real);
  see("d_generated", e.d_generated);
}

}  // namespace elbo
