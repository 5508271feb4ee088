// The variational autoencoder: encoder, Gaussian posterior, decoder, likelihood, and how a training
// step, an evaluation and a decoding are recorded as programs.
//
//   x ─ encoder ─▶ posterior (mu, logvar) ─▶ z ─ decoder ─▶ likelihood(x) ─▶ nll
//
// Parameters: encoder.N.{weight,bias}, posterior.{weight,bias} (rows of mu, then of logvar), or
// posterior.{weight,bias,log_variance} with one log-variance per latent variable,
// decoder.N.{weight,bias}, likelihood.{weight,bias} (a block of outputs per parameter), and
// likelihood.log_variance where one variance is learned for all elements.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "host/data/statistics.hpp"
#include "host/model/config.hpp"
#include "host/nn/network.hpp"
#include "kernels/program.hpp"

namespace elbo {

class Vae {
 public:
  /// A model of `dim`-dimensional data. `config` must have been validated.
  Vae(const Config& config, int64_t dim);

  const ParameterLayout& layout() const { return layout_; }
  int32_t dim() const { return dim_; }
  int32_t latent() const { return latent_; }
  int32_t samples() const { return samples_; }
  math::Likelihood likelihood() const { return likelihood_; }

  /// The arena's image before the first step. With `statistics` (of the data as the model sees
  /// it), the output starts at the data's mean and variance.
  std::vector<float> initial_weights(uint64_t seed, const ColumnStatistics* statistics) const;

  /// x and everything up to the posterior.
  struct Encoding {
    std::vector<Value> values;  // of the encoder, x first
    Value head;
    PosteriorView posterior;
  };
  struct Code {
    Value z;
    float* kl = nullptr;  // [inputs]
  };
  /// z and everything up to the likelihood's parameters.
  struct Decoding {
    std::vector<Value> values;  // of the decoder, z first
    Value output;               // [rows, parameters * dim]
  };
  struct Loss {
    float* nll = nullptr;                // [rows of z]
    Value grad_output;                   // as the decoding's output, with gradients
    float* grad_log_variance = nullptr;  // [rows of z], or null
  };

  Encoding encode(Recorder& recorder, const Value& x) const;
  Code sample(Recorder& recorder, const Encoding& encoding, const EpsilonSource& epsilon,
              int32_t samples) const;
  Decoding decode(Recorder& recorder, const Value& z) const;
  /// The likelihood's terms of x, in float; with `gradients`, decoding.output is lost to them.
  Loss loss(Recorder& recorder, const Value& x, const Decoding& decoding, bool gradients) const;
  /// E[x | z] of every row.
  Value mean(Recorder& recorder, const Decoding& decoding) const;
  /// All parameters' gradients, after loss(..., true).
  void backward(Recorder& recorder, const Encoding& encoding, const Code& code,
                const EpsilonSource& epsilon, const Decoding& decoding, const Loss& loss) const;

 private:
  bool shares_posterior_variance() const { return posterior_log_variance_.has_value(); }
  math::VarianceRole variance_role() const;
  int32_t likelihood_parameters() const;

  ParameterLayout layout_;
  int32_t dim_, latent_, samples_;
  math::Likelihood likelihood_;
  float mse_log_variance_;
  Network encoder_;
  Dense head_;
  std::optional<int64_t> posterior_log_variance_;
  Network decoder_;
  Dense output_;
  std::optional<int64_t> likelihood_log_variance_;
};

}  // namespace elbo
