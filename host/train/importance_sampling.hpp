// Estimates the likelihood of data under a model by importance sampling:
//
//   log p(x) ≈ log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)
//
// Y. Burda, R. Grosse and R. Salakhutdinov, "Importance Weighted Autoencoders", 2016, equation 8.
// The mean of the weights is an unbiased estimate of p(x) for every q, even if the encoder reads a
// corrupted x. The expectation of its logarithm is therefore a lower bound of log p(x): the
// evidence lower bound for K = 1; it rises with K (theorem 1) and converges to log p(x).
#pragma once

#include <cmath>
#include <functional>
#include <limits>

#include "host/model/model.hpp"

namespace elbo {

struct ImportanceSampling {
  int64_t samples = 0;  // K, per row; 0: do not estimate likelihoods
  /// Maximum number of codes per decoder run, if a batch does not have more rows; 0: chosen for the
  /// device.
  int64_t decoder_rows = 0;
  /// Receives the number of samples processed since the last call, out of rows * samples.
  std::function<void(int64_t weighed)> on_progress = nullptr;
};

/// Throws ConfigError if the number of samples is less than 1 or exceeds the number with distinct
/// noise, or if the model has no density with which to weight them.
void require_importance_sampling(const Model& model, const ImportanceSampling& sampling);

/// Computes the log of the mean of e^v over a stream of numbers v, without overflow. The result
/// depends only on the numbers and their order. NaN propagates; -infinity is a weight of 0.
class LogMeanExp {
 public:
  void add(double v) {
    ++count_;
    if (v > largest_) {
      sum_ = sum_ * std::exp(largest_ - v) + 1.0;
      largest_ = v;
    } else if (v != -std::numeric_limits<double>::infinity()) {
      sum_ += std::exp(v - largest_);
    }
  }
  double value() const { return largest_ + std::log(sum_) - std::log(static_cast<double>(count_)); }

 private:
  int64_t count_ = 0;
  double largest_ = -std::numeric_limits<double>::infinity();
  double sum_ = 0.0;  // of e^(v - largest)
};

/// Estimates log p(x) for batches whose rows and posteriors another program computes on the device.
class ImportanceSampler {
 public:
  struct Batch {
    Value x;  // [inputs, dim]
    PosteriorView posterior;
    EpsilonSource epsilon;
  };
  /// `model` and the memory that the batch points to must outlive the sampler. Throws as
  /// require_importance_sampling does.
  ImportanceSampler(const Model& model, const Batch& batch, const ImportanceSampling& sampling);

  /// Returns log p(x) of the batch's first `rows` rows, with the noise of `step`.
  std::vector<double> log_likelihoods(uint64_t step, int32_t rows);

 private:
  const Model& model_;
  int64_t samples_;
  int32_t chunk_;  // samples per row and run
  std::function<void(int64_t)> on_progress_;
  Buffer<StepState> state_;
  const float* log_ratio_ = nullptr;  // [inputs * chunk] log p(z) - log q(z|x)
  const float* nll_ = nullptr;        // [inputs * chunk] -log p(x|z)
  std::vector<Buffer<float>> buffers_;
  std::unique_ptr<Executable> executable_;
};

}  // namespace elbo
