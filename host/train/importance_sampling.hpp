// The likelihood of data under a model, by importance sampling:
//
//   log p(x) ≈ log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)
//
// Y. Burda, R. Grosse and R. Salakhutdinov, "Importance Weighted Autoencoders", 2016, equation 8.
// The mean of the weights is p(x), whatever q is (also where the encoder reads a corrupted x), so
// that its logarithm is in expectation a lower bound: the evidence lower bound for K = 1, one that
// rises with K (theorem 1) and reaches log p(x).
#pragma once

#include <cmath>
#include <functional>
#include <limits>

#include "host/model/model.hpp"

namespace elbo {

struct ImportanceSampling {
  int64_t samples = 0;  // K of every row; 0: no likelihoods are wanted
  /// Codes decoded at a time, where a batch has at most as many rows; 0: as many as suit the
  /// device.
  int64_t decoder_rows = 0;
  /// Hears how many samples have been weighed since the last call, of rows * samples in all.
  std::function<void(int64_t weighed)> on_progress = nullptr;
};

/// Throws ConfigError if there are fewer samples than one, or more than have noise of their own,
/// and if the model has no density to weigh them by.
void require_importance_sampling(const Model& model, const ImportanceSampling& sampling);

/// log of the mean of e^v over numbers v that come one by one, without overflow. A function of the
/// numbers in their order alone. NaN stays visible; -infinity is a weight of 0.
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

/// Estimates of log p(x) for batches whose rows and posteriors another program leaves on the
/// device.
class ImportanceSampler {
 public:
  struct Batch {
    Value x;  // [inputs, dim]
    PosteriorView posterior;
    EpsilonSource epsilon;
  };
  /// `model` and what the batch points to must outlive it. Throws as require_importance_sampling.
  ImportanceSampler(const Model& model, const Batch& batch, const ImportanceSampling& sampling);

  /// Of the batch's first `rows` rows, with the noise of `step`.
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
