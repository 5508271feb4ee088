// The results of an evaluation.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace elbo {

/// A latent variable is active if Var_x[mu(x)] exceeds this (Burda et al. 2016, section 5.2).
inline constexpr double kActiveVariance = 0.01;

/// A mean over rows, in nats, and the corresponding code length in bits per dimension of the stored
/// values.
struct Estimate {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  double value = kNone;
  double standard_error = kNone;  // of the mean over rows
  double bits_per_dim = kNone;    // of -log p: log-likelihoods are negated
  double bits_per_dim_standard_error = kNone;
};

/// Means over the rows; NaN for quantities that the model does not have. Sums are over the elements
/// of a row.
struct Evaluation {
  static constexpr double kNone = Estimate::kNone;

  int64_t count = 0;               // rows
  Estimate iwae;                   // E log 1/k sum of the samples' importance weights
  Estimate elbo;                   // reconstruction - kl
  Estimate reconstruction;         // E_q log p(x|z), one Monte Carlo draw per sample
  Estimate kl;                     // KL(q(z|x) || N(0, I))
  Estimate nll;                    // -log p(x), importance-sampled: an upper bound
  int64_t importance_samples = 0;  // samples per row used for nll
  int64_t active_units = 0;        // latents with Var_x[mu(x)] > kActiveVariance
  /// If likelihood bernoulli has grey targets: their entropy in nats. It is a lower bound of
  /// -reconstruction, -elbo and nll, which are cross-entropies in this case, not likelihoods.
  double cross_entropy_floor = kNone;
  double squared_error = kNone;  // sum (x - E[x|z])^2, of deterministic codes
  double psnr = kNone;        // of E[x|z], in dB: -10 log10 of the mean squared error of an element
  double input_psnr = kNone;  // of the corrupted input, in dB
  double l1 = kNone;          // sum |z|
  double zero_codes = kNone;  // fraction of the elements of z that are exactly 0
  double class_loss = kNone;  // cross-entropy of the classifier in nats
  double accuracy = kNone;    // fraction of rows whose most probable class is their label
  double gan_value = kNone;   // V(D, G) = E log D(real) + E log(1 - D(generated)), in nats
  double d_real = kNone;      // E D(real)
  double d_generated = kNone;  // E D(generated)
  /// The criterion for the best checkpoint of a training: minus the training loss with beta 1,
  /// without the adversarial terms, free bits and capacity. NaN if the loss then has no term left.
  double score = kNone;
};

/// The relation between an estimate and code lengths: code_length is the length of a code for x,
/// log_likelihood its negative, and divergence a difference of lengths, which does not depend on
/// the unit of x.
enum class Measure { code_length, log_likelihood, divergence };

/// Calls visit(name, estimate, measure) for every quantity with a standard error and a value in
/// bits, in order.
template <class E, class Visit>
void for_each_estimate(E& e, Visit&& visit) {
  visit("iwae", e.iwae, Measure::log_likelihood);
  visit("elbo", e.elbo, Measure::log_likelihood);
  visit("reconstruction", e.reconstruction, Measure::log_likelihood);
  visit("kl", e.kl, Measure::divergence);
  visit("nll", e.nll, Measure::code_length);
}

/// Calls visit(name, value) for every quantity that the model has, in order.
template <class Visit>
void for_each_metric(const Evaluation& e, Visit&& visit) {
  const auto see = [&](const char* name, double value) {
    if (!std::isnan(value)) visit(name, value);
  };
  for_each_estimate(e, [&](const std::string& name, const Estimate& estimate, Measure) {
    // The bits of -elbo are reported as bits_per_dim, without a prefix.
    const std::string bits = name == "elbo" ? "bits_per_dim" : name + "_bits_per_dim";
    see(name.c_str(), estimate.value);
    see((name + "_standard_error").c_str(), estimate.standard_error);
    see(bits.c_str(), estimate.bits_per_dim);
    see((bits + "_standard_error").c_str(), estimate.bits_per_dim_standard_error);
  });
  if (e.importance_samples > 0)
    see("importance_samples", static_cast<double>(e.importance_samples));
  if (!std::isnan(e.elbo.value)) see("active_units", static_cast<double>(e.active_units));
  see("cross_entropy_floor", e.cross_entropy_floor);
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
