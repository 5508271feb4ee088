// The encoder: a network and the bottleneck behind it, from x to the code z.
//
//   gaussian        q(z|x) = N(mu, diag exp(logvar)); z drawn from it
//   deterministic   z = φ(W h + b)
//   none            z = h, the network's output, for models without a decoder
//
// Parameters: encoder.N.{weight,bias}; for a Gaussian bottleneck posterior.{weight,bias} (rows of
// mu, then of logvar), or posterior.{weight,bias,log_variance} with one log-variance per latent
// variable; for a deterministic one code.{weight,bias}.
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
  /// Elements of z.
  int32_t latent() const { return latent_; }
  void initialize(std::span<float> weights, uint64_t seed) const;

  /// Everything up to the posterior's parameters, or to z where there is none.
  struct Encoding {
    Value head;
    PosteriorView posterior;  // of a Gaussian bottleneck
  };
  struct Code {
    Value z;  // [inputs * samples, latent]
    // Of a Gaussian bottleneck:
    float* kl = nullptr;  // [inputs]
    float* log_ratio =
        nullptr;  // [inputs * samples], log p(z) - log q(z|x), if importance-weighted
    float* importance = nullptr;  // [inputs * samples], for the loss to leave its weights in
  };
  Encoding encode(Recorder& recorder, const Value& x) const;
  /// z: `samples` draws from a Gaussian posterior; what it is otherwise.
  Code sample(Recorder& recorder, const Encoding& encoding, const EpsilonSource& epsilon,
              int32_t samples) const;
  struct WeighedCode {
    Value z;                     // [inputs * samples, latent]
    float* log_ratio = nullptr;  // [inputs * samples], log p(z) - log q(z|x)
  };
  /// `samples` draws from each Gaussian posterior of `inputs`; no gradient passes through them.
  WeighedCode sample_weighed(Recorder& recorder, const Rows& inputs, const PosteriorView& posterior,
                             const EpsilonSource& epsilon, int32_t samples) const;
  /// Draws from N(0, I), one for each input.
  Value prior(Recorder& recorder, Rows inputs, EpsilonSource epsilon) const;

 private:
  bool shares_variance() const { return log_variance_.has_value(); }
  void backward(Recorder& recorder, const Encoding& encoding, const EpsilonSource& epsilon,
                const Code& code, const Value& grad_z) const;
  /// The weights of the dimensions' KL; null where each of them is beta.
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
