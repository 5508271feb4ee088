// What a model makes of data: its evidence lower bound and the other quantities it has, codes,
// reconstructions, classes and samples.
//
// All of it is a function of weights, data and seed alone: noise is addressed by the row of the
// data set, so batch size, threads and device change results by rounding at most.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "host/model/batch_pass.hpp"
#include "host/model/model.hpp"
#include "host/train/device_rows.hpp"
#include "kernels/buffer.hpp"

namespace elbo {

/// Means over the rows; NaN for what the model has not got. Sums are over a row's elements.
struct Evaluation {
  int64_t count = 0;                   // rows
  double elbo = kNone;                 // reconstruction - kl, in nats
  double elbo_standard_error = kNone;  // of the mean over rows
  double reconstruction = kNone;       // E_q log p(x|z) in nats, one Monte Carlo draw per sample
  double kl = kNone;                   // KL(q(z|x) || N(0, I)) in nats
  double bits_per_dim = kNone;         // -elbo in bits per dimension of the stored values
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

/// Runs a model over one split. The model must outlive it.
class Evaluator {
 public:
  /// Works on `batch_rows` rows at a time; 0: as many as keep the decoder busy. Throws DataError
  /// where a label is none of the model's classes.
  Evaluator(const Model& model, const Split& split, int64_t batch_rows = 0);

  Evaluation evaluate();

  /// Codes [count, latent]: posterior means, or z where it is deterministic. With `log_variances` a
  /// row is mu, then logvar; throws ConfigError where there are none.
  std::vector<float> encode(bool log_variances);

  struct Reconstructions {
    std::vector<float> inputs;     // [rows, dim], as the model sees them
    std::vector<float> corrupted;  // [rows, dim], where the model was trained on corrupted inputs
    std::vector<float> means;      // [rows, dim], E[x | z = mu(input)], of corrupted inputs if any
  };
  /// Of the split's first `rows` rows (fewer if there are fewer). Throws ConfigError where there is
  /// no decoder.
  Reconstructions reconstruct(int64_t rows);

  /// The classifier's probabilities [count, classes]. Throws ConfigError where there is none.
  std::vector<float> classify();

 private:
  /// A program over a batch.
  struct Pass {
    std::unique_ptr<Executable> executable;
    Value x, input;
    PosteriorView code;
    Value output;  // means, or logits
    std::vector<ReportedTerm> terms;
  };
  enum class Purpose { evaluate, encode, reconstruct, classify };
  Pass& pass(Purpose purpose);
  Pass record(Purpose purpose);
  void for_each_batch(int64_t rows, const std::function<void(uint32_t first, int rows)>& use);

  const Model& model_;
  int32_t batch_rows_;
  std::unique_ptr<DeviceRows> rows_;
  Buffer<int32_t> labels_;
  Buffer<StepState> state_;
  Buffer<uint32_t> row_ids_;
  Buffer<float> epsilon_;  // zeros: the posterior's mean, for reconstructions
  std::vector<Buffer<float>> buffers_;
  std::map<Purpose, Pass> passes_;  // recorded when first needed
};

/// E[x | z] for codes z [count, latent]: [count, dim]. Throws ConfigError where there is no
/// decoder.
std::vector<float> decode(const Model& model, std::span<const float> z);

/// E[x | z] for `count` draws z from the prior, by `seed`: [count, dim].
/// Throws ConfigError where the model has no prior to draw from.
std::vector<float> sample(const Model& model, int64_t count, uint64_t seed);

/// Whether training has made draws from N(0, I) codes of this model.
bool has_prior(const Config& config);

/// D of rows [count, dim], or of codes [count, latent] where those are what is judged: [count].
/// Throws ConfigError where there is no discriminator.
std::vector<float> discriminate(const Model& model, std::span<const float> rows);

}  // namespace elbo
