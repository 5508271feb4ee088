// What a model makes of data: its evidence lower bound and the other quantities it has, codes,
// reconstructions and classes.
//
// All of it is a function of weights, data and seed alone: noise is addressed by the row of the
// data set, so batch size, threads and device change results by rounding at most.
#pragma once

#include <functional>
#include <map>
#include <span>

#include "host/model/batch_pass.hpp"
#include "host/model/model.hpp"
#include "host/train/device_rows.hpp"
#include "host/train/evaluation.hpp"
#include "host/train/importance_sampling.hpp"
#include "kernels/buffer.hpp"

namespace elbo {

/// Runs a model over one split. The model must outlive it.
class Evaluator {
 public:
  /// Works on `batch_rows` rows at a time; 0: as many as keep the decoder busy. Throws DataError
  /// where a label is none of the model's classes.
  Evaluator(const Model& model, const Split& split, int64_t batch_rows = 0);

  /// Means over the rows, of the likelihood only where `importance` has samples. Throws ConfigError
  /// where the model has no likelihoods.
  Evaluation evaluate(const ImportanceSampling& importance = {});

  /// The importance-sampled log p(x) of every row, in nats. The first sample is the one that
  /// evaluate() takes. Throws ConfigError if the model has no likelihoods.
  std::vector<double> log_likelihoods(const ImportanceSampling& importance);

  /// Codes [count, latent]: posterior means, or z where it is deterministic. With `log_variances` a
  /// row is mu, then logvar; throws ConfigError if there are none.
  std::vector<float> encode(bool log_variances);

  struct Reconstructions {
    std::vector<float> inputs;     // [rows, dim], as the model sees them
    std::vector<float> corrupted;  // [rows, dim], where the model was trained on corrupted inputs
    std::vector<float> means;      // [rows, dim], E[x | z = mu(input)], of corrupted inputs if any
  };
  /// Of the split's first `rows` rows (fewer if there are fewer). Throws ConfigError if there is
  /// no decoder.
  Reconstructions reconstruct(int64_t rows);

  /// Calls `use` with the decoder's outputs at z = mu(x), the likelihood's parameters [rows,
  /// parameters * dim], for all rows of the split in order, a batch at a time. Throws ConfigError
  /// where there is no decoder.
  void decode_rows(const std::function<void(std::span<const float> outputs)>& use);

  /// The classifier's probabilities [count, classes]. Throws ConfigError if there is none.
  std::vector<float> classify();

 private:
  /// A program over a batch.
  struct Pass {
    std::unique_ptr<Executable> executable;
    Value x, input;
    PosteriorView code;
    Value output;  // means, likelihood parameters, or logits
    std::vector<ReportedTerm> terms;
  };
  enum class Purpose { evaluate, likelihood, encode, reconstruct, decode, classify };
  Pass& pass(Purpose purpose);
  Pass record(Purpose purpose);
  void for_each_batch(int64_t rows, const std::function<void(uint32_t first, int rows)>& use);

  const Model& model_;
  Split split_;
  double entropy_ = Evaluation::kNone;  // of its rows as targets, where asked for
  int32_t batch_rows_;
  std::unique_ptr<DeviceRows> rows_;
  Buffer<int32_t> labels_;
  Buffer<StepState> state_;
  Buffer<uint32_t> row_ids_;
  Buffer<float> epsilon_;  // zeros: the posterior's mean, for reconstructions
  std::vector<Buffer<float>> buffers_;
  std::map<Purpose, Pass> passes_;  // recorded when first needed
};

}  // namespace elbo
