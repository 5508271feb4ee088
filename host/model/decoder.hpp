// The decoder: a network from a code z to the parameters of the likelihood p(x|z).
//
// Parameters: decoder.N.{weight,bias}, likelihood.{weight,bias} (one block of outputs per parameter
// of the likelihood), and, if the variance is learned, likelihood.log_variance [channels]: one for
// all elements, or one per channel of a picture x.
#pragma once

#include <optional>
#include <span>

#include "host/data/statistics.hpp"
#include "host/model/likelihood.hpp"
#include "host/model/networks.hpp"
#include "host/nn/network.hpp"

namespace elbo {

class Decoder {
 public:
  /// Maps `latent`-dimensional codes to x of shape `sample_shape`. The settings must name a
  /// likelihood.
  Decoder(ParameterLayout& layout, const LikelihoodSettings& settings,
          const NetworkSettings& network, int32_t latent, const Shape& sample_shape);

  math::Likelihood likelihood() const { return likelihood_; }
  /// With `statistics` (of the data as the model sees them), the output starts at the mean and
  /// variance of the data.
  void initialize(std::span<float> weights, uint64_t seed,
                  const ColumnStatistics* statistics) const;

  /// Returns the parameters of the likelihood, [rows, parameters * dim].
  Value decode(Recorder& recorder, const Value& z) const;
  /// Returns E[x | z] of every row. Must be called before loss(), which overwrites `output`.
  Value mean(Recorder& recorder, const Value& output) const;
  /// Returns -log p(x | z) of every row, in nats; x has one row per input. If `output` wants a
  /// gradient, the gradient of weight * mean(row_weight * loss) is added to it; it reuses the
  /// memory of `output`. Without row_weight [rows], all rows have weight 1.
  float* loss(Recorder& recorder, const Value& x, const Value& output, float weight,
              const float* row_weight = nullptr) const;
  /// Returns -log p(x | z) of every row, in nats, without a gradient.
  float* nll(Recorder& recorder, const Value& x, const Value& output) const;

 private:
  /// The op of the loss, without gradients.
  LikelihoodTerms terms(Recorder& recorder, const Value& x, const Value& output) const;
  math::VarianceRole variance_role() const;

  DataMap data_;
  int32_t dim_;
  math::Likelihood likelihood_;
  /// The mapping from elements to log-variances; see LikelihoodTerms.
  int32_t channels_ = 1, channel_step_ = 1;
  float mse_log_variance_;
  Network network_;
  std::unique_ptr<Layer> output_;
  int64_t bias_;  // offset of the output layer's bias
  std::optional<int64_t> log_variance_;
};

}  // namespace elbo
