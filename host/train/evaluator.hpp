// What a model makes of data: its evidence lower bound, codes, reconstructions and samples.
//
// All of it is a function of weights, data and seed alone: noise is addressed by the row of the
// data set, so batch size, threads and device change results by rounding at most.
#pragma once

#include <functional>

#include "host/model/model.hpp"
#include "host/train/device_rows.hpp"
#include "kernels/buffer.hpp"

namespace elbo {

/// Means over the rows, in nats per row; elbo = reconstruction - kl.
struct Evaluation {
  double elbo = 0.0;
  double elbo_standard_error = 0.0;  // of the mean over rows
  double reconstruction = 0.0;       // E_q log p(x|z), one Monte Carlo draw per sample
  double kl = 0.0;
  double bits_per_dim = 0.0;  // -elbo in bits per dimension of the stored values
  int64_t active_units = 0;   // latents with Var_x[mu(x)] > 0.01 (Burda et al. 2016)
  int64_t count = 0;          // rows
};

/// Runs a model over one split. The model must outlive it.
class Evaluator {
 public:
  /// Works on `batch_rows` rows at a time; 0: as many as keep the decoder busy.
  Evaluator(const Model& model, const Split& split, int64_t batch_rows = 0);

  Evaluation evaluate();

  /// Posterior means [count, latent]; with `log_variances` a row is mu, then logvar.
  std::vector<float> encode(bool log_variances);

  struct Reconstructions {
    std::vector<float> inputs;  // [rows, dim], as the model sees them
    std::vector<float> means;   // [rows, dim], E[x | z = mu(x)]
  };
  /// Of the split's first `rows` rows (fewer if there are fewer).
  Reconstructions reconstruct(int64_t rows);

 private:
  void for_each_batch(int64_t rows, const std::function<void(uint32_t first, int rows)>& use);
  void record();

  const Model& model_;
  int32_t batch_rows_;
  std::unique_ptr<DeviceRows> rows_;
  Buffer<StepState> state_;
  Buffer<uint32_t> row_ids_;
  Buffer<float> epsilon_;  // zeros: the posterior's mean, for reconstructions
  std::vector<Buffer<float>> buffers_;
  Value x_, means_;
  PosteriorView posterior_;
  const float* nll_ = nullptr;
  const float* kl_ = nullptr;
  std::unique_ptr<Executable> evaluate_, encode_, reconstruct_;
};

/// E[x | z] for codes z [count, latent]: [count, dim].
std::vector<float> decode(const Model& model, std::span<const float> z);

/// E[x | z] for `count` draws z from the prior, by `seed`: [count, dim].
std::vector<float> sample(const Model& model, int64_t count, uint64_t seed);

}  // namespace elbo
