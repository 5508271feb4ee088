// A discriminator D(x) = sigmoid(logit): the probability that x is real. Its loss is the Bernoulli
// likelihood of "real" (Goodfellow et al., "Generative Adversarial Nets", 2014).
//
// Parameters: discriminator.N.{weight,bias}, discriminator.output.{weight,bias}.
#pragma once

#include <span>

#include "host/model/likelihood.hpp"
#include "host/model/networks.hpp"
#include "host/nn/dense.hpp"
#include "host/nn/network.hpp"

namespace elbo {

enum class DiscriminatorKind { none, data, code };
constexpr auto names_of(DiscriminatorKind) {
  return std::array<std::string_view, 3>{"none", "data", "code"};
}
enum class GeneratorLoss { non_saturating, saturating, none };
constexpr auto names_of(GeneratorLoss) {
  return std::array<std::string_view, 3>{"non-saturating", "saturating", "none"};
}
enum class DiscriminatorInputs { both, samples, reconstructions };
constexpr auto names_of(DiscriminatorInputs) {
  return std::array<std::string_view, 3>{"both", "samples", "reconstructions"};
}

struct DiscriminatorSettings {
  static constexpr std::string_view title = "discriminator";
  DiscriminatorKind discriminator = DiscriminatorKind::none;
  std::vector<int64_t> discriminator_hidden = {512, 256};
  math::Activation discriminator_activation = math::Activation::of<math::LeakyRelu>();
  double adversarial_weight = 1.0;
  GeneratorLoss generator_loss = GeneratorLoss::non_saturating;
  DiscriminatorInputs discriminator_inputs = DiscriminatorInputs::both;
  double discriminator_learning_rate_ratio = 1.0;

  template <class S, class V>
  static void visit(S& s, V&& v) {
    v("discriminator", s.discriminator, Any{},
      "adversarial discriminator: none; data (real x vs. decoded x); code (prior samples vs. "
      "encoded z)");
    v("discriminator-hidden", s.discriminator_hidden, Each{AtLeast{1, 1e6}},
      "widths of the discriminator's hidden layers");
    v("discriminator-activation", s.discriminator_activation, Any{},
      "activation of the discriminator's hidden layers");
    v("adversarial-weight", s.adversarial_weight, AtLeast{0, 1e6},
      "weight of the generator's loss");
    v("generator-loss", s.generator_loss, Any{},
      "loss of the generator: non-saturating (-log D), saturating (log(1 - D)), or none (the "
      "discriminator changes nothing else)");
    v("discriminator-inputs", s.discriminator_inputs, Any{},
      "decoded x that discriminator data reads: samples of the prior, reconstructions, or both");
    v("discriminator-learning-rate-ratio", s.discriminator_learning_rate_ratio, Between{1e-6, 1e6},
      "learning rate of the discriminator, as a multiple of learning-rate");
  }
  bool operator==(const DiscriminatorSettings&) const = default;

  bool adversarial() const { return discriminator != DiscriminatorKind::none; }
  bool on_codes() const { return discriminator == DiscriminatorKind::code; }
  void check(Combination& c, const LikelihoodSettings& l) const;
};

/// Returns the layers before the logit's layer. `data` is the shape of the discriminator's input;
/// codes are read by dense layers only.
std::vector<LayerSpec> discriminator_layers(const DiscriminatorSettings& settings,
                                            const NetworkSettings& network, const FeatureMap& data);

/// The class that a loss assigns to a row.
enum class Verdict { real, generated };

class Discriminator {
 public:
  /// Reads rows of `data`, or codes as vectors.
  Discriminator(ParameterLayout& layout, const DiscriminatorSettings& settings,
                const NetworkSettings& network, const DataMap& data);

  void initialize(std::span<float> weights, uint64_t seed) const;

  /// Returns D(x) of every row.
  Value probability(Recorder& recorder, const Value& x) const;

  struct Terms {
    float* nll = nullptr;          // [rows] -log D(x) for real, -log (1 - D(x)) for generated rows
    float* probability = nullptr;  // [rows] D(x)
  };
  /// Records the loss of x with this verdict. If the logit wants a gradient, the gradient of the
  /// weighted mean of nll is propagated to x and to the discriminator's parameters.
  Terms judge(Recorder& recorder, const Value& x, Verdict verdict, float weight) const;

 private:
  Value logit(Recorder& recorder, const Value& x) const;
  Value probability_of(Recorder& recorder, const Value& logit) const;

  DataMap data_;
  Network network_;
  Dense output_;
};

}  // namespace elbo
