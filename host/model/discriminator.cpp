#include "host/model/discriminator.hpp"

#include "host/nn/resample.hpp"

namespace elbo {
namespace {

constexpr math::Likelihood kBernoulli = math::Likelihood::of<math::Bernoulli>();

}  // namespace

void DiscriminatorSettings::check(Combination& c, const LikelihoodSettings& l) const {
  c.refuse_if(!l.decodes() && adversarial(), c.said(discriminator), c.said(l.likelihood),
              "there is no generator; use a likelihood, or discriminator none");
  c.idle_unless(adversarial(), "with " + c.said(discriminator), discriminator_hidden,
                discriminator_activation, adversarial_weight, generator_loss,
                discriminator_learning_rate_ratio);
  c.idle_unless(discriminator == DiscriminatorKind::data, "with " + c.said(discriminator),
                discriminator_inputs);
  c.idle_unless(generator_loss != GeneratorLoss::none, "with " + c.said(generator_loss),
                adversarial_weight);
  c.idle_unless(adversarial_weight > 0.0, "with " + c.said(adversarial_weight), generator_loss);
}

std::vector<LayerSpec> discriminator_layers(const DiscriminatorSettings& settings,
                                            const NetworkSettings& network,
                                            const FeatureMap& data) {
  return critic_layers(network, data, !settings.on_codes(), settings.discriminator_hidden,
                       settings.discriminator_activation);
}

Discriminator::Discriminator(ParameterLayout& layout, const DiscriminatorSettings& settings,
                             const NetworkSettings& network, const DataMap& data)
    : data_(data),
      network_(layout, "discriminator", data.map,
               discriminator_layers(settings, network, data.map)),
      output_(layout, "discriminator.output", network_.out().size(), 1, kIdentityActivation) {}

void Discriminator::initialize(std::span<float> weights, uint64_t seed) const {
  network_.initialize(weights, seed);
  output_.initialize(weights, seed);
}

Value Discriminator::logit(Recorder& recorder, const Value& x) const {
  Value input = recorder.as_factor(x);
  if (data_.planar) input = swap_axes(recorder, input, data_.map.channels, data_.map.pixels(), 1);
  return output_.forward(recorder, network_.forward(recorder, input), Format::f32);
}

Value Discriminator::probability_of(Recorder& recorder, const Value& logit) const {
  const Value probability = recorder.tensor(logit.rows, 1);
  recorder.add(LikelihoodMean{.likelihood = kBernoulli,
                              .rows = logit.rows,
                              .columns = 1,
                              .output = logit.f32(),
                              .mean = probability.f32()});
  return probability;
}

Value Discriminator::probability(Recorder& recorder, const Value& x) const {
  return probability_of(recorder, logit(recorder, x));
}

Discriminator::Terms Discriminator::judge(Recorder& recorder, const Value& x, Verdict verdict,
                                          float weight) const {
  const Value logit = this->logit(recorder, x);
  const Rows rows = logit.rows;
  const bool gradients = recorder.wants_gradient(logit);
  const Terms terms = {recorder.tensor(rows, 1).f32(), probability_of(recorder, logit).f32()};
  const Value grad = gradients ? recorder.loss_gradient(logit) : Value();
  recorder.add(
      LikelihoodTerms{.likelihood = kBernoulli,
                      .gradients = gradients,
                      .weight = weight,
                      .inputs = {rows.state, rows.inputs, 1},
                      .samples = rows.per_input,
                      .columns = 1,
                      .x = recorder.constants(rows.inputs, verdict == Verdict::real ? 1.0f : 0.0f),
                      .output = logit.f32(),
                      .nll = terms.nll,
                      .grad_output = grad.bf16()});
  if (gradients) recorder.add_gradient(logit, grad);
  return terms;
}

}  // namespace elbo
