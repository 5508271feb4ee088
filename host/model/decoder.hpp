// The decoder: a network from a code z to the parameters of the likelihood p(x|z).
//
// Parameters: decoder.N.{weight,bias}, likelihood.{weight,bias} (a block of outputs per parameter
// of the likelihood), and likelihood.log_variance [channels] where variances are learned: one for
// all elements, or one for each channel of the picture that x is.
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
  /// From `latent`-dimensional codes to x of this shape. The settings must name a likelihood.
  Decoder(ParameterLayout& layout, const LikelihoodSettings& settings,
          const NetworkSettings& network, int32_t latent, const Shape& sample_shape);

  math::Likelihood likelihood() const { return likelihood_; }
  /// With `statistics` (of the data as the model sees it), the output starts at the data's mean and
  /// variance.
  void initialize(std::span<float> weights, uint64_t seed,
                  const ColumnStatistics* statistics) const;

  /// The likelihood's parameters [rows, parameters * dim].
  Value decode(Recorder& recorder, const Value& z) const;
  /// E[x | z] of every row; has to be asked for before the loss.
  Value mean(Recorder& recorder, const Value& output) const;
  /// -log p(x | z) of every row, in nats, x one row per input. Where a gradient is wanted, that of
  /// weight * the mean of row_weight * it is added to output, whose memory it takes; without
  /// row_weight [rows] all rows weigh 1.
  float* loss(Recorder& recorder, const Value& x, const Value& output, float weight,
              const float* row_weight = nullptr) const;
  /// -log p(x | z) of every row without a gradient.
  float* nll(Recorder& recorder, const Value& x, const Value& output) const;

 private:
  /// Of the loss, without gradients.
  LikelihoodTerms terms(Recorder& recorder, const Value& x, const Value& output) const;
  math::VarianceRole variance_role() const;

  DataMap data_;
  int32_t dim_;
  math::Likelihood likelihood_;
  /// How elements share log-variances; see LikelihoodTerms.
  int32_t channels_ = 1, channel_step_ = 1;
  float mse_log_variance_;
  Network network_;
  std::unique_ptr<Layer> output_;
  int64_t bias_;  // of the output
  std::optional<int64_t> log_variance_;
};

}  // namespace elbo
