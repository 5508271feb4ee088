// Evaluates a model on data: its evidence lower bound and other quantities, codes, reconstructions
// and classes.
//
// All results depend only on weights, data and seed: noise is indexed by the row of the data set,
// so batch size, threads and device change results only by rounding.
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
  /// Processes `batch_rows` rows at a time; 0: chosen by the number of samples per row. Throws
  /// DataError if a label is not one of the model's classes.
  Evaluator(const Model& model, const Split& split, int64_t batch_rows = 0);

  /// Returns means over the rows; computes nll only if `importance` has samples. Throws ConfigError
  /// if nll is requested and the model has no likelihoods.
  Evaluation evaluate(const ImportanceSampling& importance = {});

  /// Returns the importance-sampled log p(x) of every row, in nats. The first sample of a row is
  /// the sample that evaluate() draws. Throws ConfigError if the model has no likelihoods.
  std::vector<double> log_likelihoods(const ImportanceSampling& importance);

  /// Returns codes [count, latent]: posterior means, or z if the code is deterministic. With
  /// `log_variances`, a row contains mu, then logvar; throws ConfigError if the model has no
  /// variances.
  std::vector<float> encode(bool log_variances);

  struct Reconstructions {
    std::vector<float> inputs;     // [rows, dim], as the model sees them
    std::vector<float> corrupted;  // [rows, dim], if the model was trained on corrupted inputs
    std::vector<float> means;      // [rows, dim], E[x | z = mu(input)], of corrupted inputs if any
  };
  /// Reconstructs the first `rows` rows of the split, or all if it has fewer. Throws ConfigError if
  /// the model has no decoder.
  Reconstructions reconstruct(int64_t rows);

  /// Calls `use` with the outputs of the decoder at z = mu(x), i.e. the parameters of the
  /// likelihood [rows, parameters * dim], for all rows of the split in order, one batch at a time.
  /// Throws ConfigError if the model has no decoder.
  void decode_rows(const std::function<void(std::span<const float> outputs)>& use);

  /// Returns class probabilities [count, classes]. Throws ConfigError if the model has no
  /// classifier.
  std::vector<float> classify();

 private:
  /// A program that processes one batch.
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
  double entropy_ = Evaluation::kNone;  // of the rows as targets, once computed
  int32_t batch_rows_;
  std::unique_ptr<DeviceRows> rows_;
  Buffer<int32_t> labels_;
  Buffer<StepState> state_;
  Buffer<uint32_t> row_ids_;
  Buffer<float> epsilon_;  // zeros, so that z is the mean of the posterior
  std::vector<Buffer<float>> buffers_;
  std::map<Purpose, Pass> passes_;  // recorded when first needed
};

}  // namespace elbo
