// The encoder: a network and the bottleneck after it, from x to the code z.
//
//   gaussian        q(z|x) = N(mu, diag exp(logvar)); z drawn from it
//   deterministic   z = φ(W h + b)
//   none            z = h, the network's output, for models without a decoder
//
// Parameters: encoder.N.{weight,bias}. A Gaussian bottleneck adds posterior.{weight,bias} (rows of
// mu, then of logvar) or, with one log-variance per latent variable,
// posterior.{weight,bias,log_variance}. A deterministic bottleneck adds code.{weight,bias}.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "host/model/networks.hpp"
#include "host/model/objective.hpp"
#include "host/nn/dense.hpp"
#include "host/nn/network.hpp"

namespace elbo {

class Encoder {
 public:
  Encoder(ParameterLayout& layout, const NetworkSettings& network,
          const BottleneckSettings& bottleneck, const ObjectiveSettings& objective,
          const DataMap& data);

  Bottleneck bottleneck() const { return bottleneck_; }
  bool gaussian() const { return bottleneck_ == Bottleneck::gaussian; }
  /// Returns the number of elements of z.
  int32_t latent() const { return latent_; }
  void initialize(std::span<float> weights, uint64_t seed) const;

  /// The result of the network: the parameters of the posterior, or z if the code is not Gaussian.
  struct Encoding {
    Value head;
    PosteriorView posterior;  // of a Gaussian bottleneck
  };
  struct Code {
    Value z;  // [inputs * samples, latent]
    // For a Gaussian bottleneck only:
    float* kl = nullptr;  // [inputs]
    float* log_ratio =
        nullptr;  // [inputs * samples], log p(z) - log q(z|x), if importance-weighted
    float* importance = nullptr;  // [inputs * samples]; the loss stores the importance weights here
  };
  Encoding encode(Recorder& recorder, const Value& x) const;
  /// Returns the code: `samples` draws from a Gaussian posterior, otherwise the head itself.
  Code sample(Recorder& recorder, const Encoding& encoding, const EpsilonSource& epsilon,
              int32_t samples) const;
  struct WeighedCode {
    Value z;                     // [inputs * samples, latent]
    float* log_ratio = nullptr;  // [inputs * samples], log p(z) - log q(z|x)
  };
  /// Returns `samples` draws from each Gaussian posterior of `inputs`, without gradients.
  WeighedCode sample_weighed(Recorder& recorder, const Rows& inputs, const PosteriorView& posterior,
                             const EpsilonSource& epsilon, int32_t samples) const;
  /// Returns draws from N(0, I), one for each input.
  Value prior(Recorder& recorder, Rows inputs, EpsilonSource epsilon) const;

 private:
  bool shares_variance() const { return log_variance_.has_value(); }
  void backward(Recorder& recorder, const Encoding& encoding, const EpsilonSource& epsilon,
                const Code& code, const Value& grad_z) const;
  /// Returns the KL weight of each latent dimension; null if every weight is beta.
  const float* kl_weights(Recorder& recorder, const Encoding& encoding) const;

  Bottleneck bottleneck_;
  bool importance_weighted_, capacity_;
  float free_bits_;
  DataMap data_;
  Network network_;
  int32_t latent_;
  std::optional<Dense> head_;
  std::optional<int64_t> log_variance_;
};

}  // namespace elbo
