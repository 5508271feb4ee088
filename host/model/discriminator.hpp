// A discriminator D(x) = sigmoid(logit): the probability that x is real. Its loss is the Bernoulli
// likelihood of "real" (Goodfellow et al., "Generative Adversarial Nets", 2014).
//
// Parameters: discriminator.N.{weight,bias}, discriminator.output.{weight,bias}.
#pragma once

#include <span>

#include "host/model/networks.hpp"
#include "host/nn/dense.hpp"
#include "host/nn/network.hpp"

namespace elbo {

/// What a row is taken for in a loss.
enum class Verdict { real, generated };

class Discriminator {
 public:
  /// Of rows of `data`, or of codes as vectors.
  Discriminator(ParameterLayout& layout, const Config& config, const DataMap& data);

  void initialize(std::span<float> weights, uint64_t seed) const;

  /// D(x) of every row.
  Value probability(Recorder& recorder, const Value& x) const;

  struct Terms {
    float* nll = nullptr;          // [rows] -log D(x) for real, -log (1 - D(x)) for generated rows
    float* probability = nullptr;  // [rows] D(x)
  };
  /// Judges x. Where a gradient is wanted, that of weight * mean(nll) flows to x and to the
  /// discriminator's parameters.
  Terms judge(Recorder& recorder, const Value& x, Verdict verdict, float weight) const;

 private:
  Value logit(Recorder& recorder, const Value& x) const;
  Value probability_of(Recorder& recorder, const Value& logit) const;

  DataMap data_;
  Network network_;
  Dense output_;
};

}  // namespace elbo
