#include "host/model/encoder.hpp"

#include <algorithm>

#include "host/nn/resample.hpp"

namespace elbo {

Encoder::Encoder(ParameterLayout& layout, const NetworkSettings& network,
                 const BottleneckSettings& bottleneck, const ObjectiveSettings& objective,
                 const DataMap& data)
    : bottleneck_(bottleneck.bottleneck),
      importance_weighted_(objective.objective == Objective::iwae),
      capacity_(objective.kl_capacity > 0.0),
      free_bits_(static_cast<float>(objective.free_bits)),
      data_(data),
      network_(layout, "encoder", data.map, encoder_layers(network, data.map)),
      latent_(bottleneck_ == Bottleneck::none ? network_.out().size()
                                              : static_cast<int32_t>(bottleneck.latent_dim)) {
  const bool shared = bottleneck.posterior_variance == PosteriorVariance::shared;
  switch (bottleneck_) {
    case Bottleneck::gaussian:
      head_.emplace(layout, "posterior", network_.out().size(), shared ? latent_ : 2 * latent_,
                    kIdentityActivation);
      if (shared) log_variance_ = layout.add("posterior.log_variance", {latent_});
      break;
    case Bottleneck::deterministic:
      head_.emplace(layout, "code", network_.out().size(), latent_, bottleneck.code_activation);
      break;
    case Bottleneck::none:
      break;
  }
}

void Encoder::initialize(std::span<float> weights, uint64_t seed) const {
  network_.initialize(weights, seed);
  if (head_) head_->initialize(weights, seed);
}

Encoder::Encoding Encoder::encode(Recorder& recorder, const Value& x) const {
  const FeatureMap& map = data_.map;
  const Value picture = data_.planar ? swap_axes(recorder, x, map.channels, map.pixels(), 1) : x;
  const Value hidden = network_.forward(recorder, picture);
  if (!head_) return {hidden, {}};
  if (!gaussian()) return {head_->forward(recorder, hidden, recorder.factor_format()), {}};
  const Value head = head_->forward(recorder, hidden, Format::f32);
  if (shares_variance()) return {head, {head.f32(), recorder.weight(*log_variance_), latent_, 0}};
  return {head, {head.f32(), head.f32() + latent_, 2 * latent_, 2 * latent_}};
}

Encoder::Code Encoder::sample(Recorder& recorder, const Encoding& encoding,
                              const EpsilonSource& epsilon, int32_t samples) const {
  if (!gaussian()) return {encoding.head};
  const Rows inputs = encoding.head.rows;
  Code code;
  code.z =
      recorder.tensor({inputs.state, inputs.inputs, samples}, latent_, recorder.factor_format());
  code.kl = recorder.tensor(inputs, 1).f32();
  if (importance_weighted_) {
    code.log_ratio = recorder.tensor(code.z.rows, 1).f32();
    code.importance = recorder.tensor(code.z.rows, 1).f32();
  }
  recorder.add(LatentForward{.inputs = inputs,
                             .samples = samples,
                             .latent = latent_,
                             .posterior = encoding.posterior,
                             .epsilon = epsilon,
                             .z = code.z.data,
                             .kl = code.kl,
                             .log_ratio = code.log_ratio});
  recorder.on_tape(code.z, {encoding.head}, {log_variance_.value_or(-1)},
                   [this, &recorder, encoding, epsilon, code](const Value& grad_z) {
                     backward(recorder, encoding, epsilon, code, grad_z);
                   });
  return code;
}

const float* Encoder::kl_weights(Recorder& recorder, const Encoding& encoding) const {
  if (free_bits_ == 0.0f && !capacity_) return nullptr;
  float* weight = recorder.floats(latent_);
  recorder.add(KlWeights{.inputs = encoding.head.rows,
                         .latent = latent_,
                         .posterior = encoding.posterior,
                         .free_bits = free_bits_,
                         .capacity = capacity_,
                         .weight = weight});
  return weight;
}

void Encoder::backward(Recorder& recorder, const Encoding& encoding, const EpsilonSource& epsilon,
                       const Code& code, const Value& grad_z) const {
  const Value& head = encoding.head;
  const Value grad_head = recorder.tensor(head.rows, head.columns, recorder.factor_format());
  LatentBackward op{.inputs = head.rows,
                    .samples = code.z.rows.per_input,
                    .latent = latent_,
                    .posterior = encoding.posterior,
                    .epsilon = epsilon,
                    .kl_weight = kl_weights(recorder, encoding),
                    .importance = code.importance,
                    .grad_z = grad_z.f32(),
                    .grad_mu = grad_head.data,
                    .grad_logvar = grad_head.data.from(latent_),
                    .grad_mu_stride = head.columns,
                    .grad_logvar_stride = head.columns};
  if (shares_variance()) {
    op.grad_logvar = recorder.tensor(head.rows, latent_).data;
    op.grad_logvar_stride = latent_;
  }
  recorder.add(op);
  if (shares_variance())
    recorder.add(ColumnSum{.rows = head.rows,
                           .columns = latent_,
                           .x = op.grad_logvar,
                           .out = recorder.gradient(*log_variance_)});
  if (recorder.wants_gradient(head)) recorder.add_gradient(head, grad_head);
}

Encoder::WeighedCode Encoder::sample_weighed(Recorder& recorder, const Rows& inputs,
                                             const PosteriorView& posterior,
                                             const EpsilonSource& epsilon, int32_t samples) const {
  ELBO_ASSERT(gaussian());
  const Rows rows = {inputs.state, inputs.inputs, samples};
  WeighedCode code = {recorder.tensor(rows, latent_, recorder.factor_format()),
                      recorder.tensor(rows, 1).f32()};
  recorder.add(LatentForward{.inputs = inputs,
                             .samples = samples,
                             .latent = latent_,
                             .posterior = posterior,
                             .epsilon = epsilon,
                             .z = code.z.data,
                             .log_ratio = code.log_ratio});
  return code;
}

Value Encoder::prior(Recorder& recorder, Rows inputs, EpsilonSource epsilon) const {
  const Value z = recorder.tensor(inputs, latent_, recorder.factor_format());
  const float* zeros = recorder.constants(latent_, 0.0f);
  epsilon.buffer = nullptr;
  epsilon.stream = math::NoiseStream::prior;
  recorder.add(LatentForward{.inputs = inputs,
                             .latent = latent_,
                             .posterior = {zeros, zeros, 0, 0},
                             .epsilon = epsilon,
                             .z = z.data});
  return z;
}

}  // namespace elbo
