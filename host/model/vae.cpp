#include "host/model/vae.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace elbo {
namespace {

int parameters_of(math::Likelihood likelihood) {
  int count = 0;
  likelihood.visit([&](auto l) { count = decltype(l)::parameters; });
  return count;
}

std::vector<int64_t> reversed(std::vector<int64_t> widths) {
  std::reverse(widths.begin(), widths.end());
  return widths;
}

math::Activation activation_of(const Config& config) {
  return {math::Activations::find(config.activation)};
}

constexpr math::Activation kIdentity = math::Activation::of<math::Identity>();

}  // namespace

Vae::Vae(const Config& config, int64_t dim)
    : dim_(static_cast<int32_t>(dim)),
      latent_(static_cast<int32_t>(config.latent_dim)),
      samples_(static_cast<int32_t>(config.samples)),
      likelihood_{math::Likelihoods::find(config.likelihood)},
      mse_log_variance_(static_cast<float>(std::log(config.mse_variance))),
      encoder_(layout_, "encoder", dim_, config.hidden, activation_of(config)),
      head_(layout_, "posterior", encoder_.out(),
            config.posterior_variance == "shared" ? latent_ : 2 * latent_, kIdentity),
      posterior_log_variance_(config.posterior_variance == "shared"
                                  ? std::optional(layout_.add("posterior.log_variance", {latent_}))
                                  : std::nullopt),
      decoder_(layout_, "decoder", latent_, reversed(config.hidden), activation_of(config)),
      output_(layout_, "likelihood", decoder_.out(), parameters_of(likelihood_) * dim_, kIdentity),
      likelihood_log_variance_(variance_role() == math::VarianceRole::learned
                                   ? std::optional(layout_.add("likelihood.log_variance", {1}))
                                   : std::nullopt) {}

math::VarianceRole Vae::variance_role() const {
  math::VarianceRole role{};
  likelihood_.visit([&](auto l) { role = decltype(l)::variance; });
  return role;
}

int32_t Vae::likelihood_parameters() const { return parameters_of(likelihood_); }

std::vector<float> Vae::initial_weights(uint64_t seed, const ColumnStatistics* statistics) const {
  std::vector<float> weights(static_cast<size_t>(layout_.size()), 0.0f);
  encoder_.initialize(weights, seed);
  head_.initialize(weights, seed);
  decoder_.initialize(weights, seed);
  output_.initialize(weights, seed);
  if (statistics == nullptr) return weights;

  constexpr double kVarianceFloor = 1e-4;  // elements that never vary
  // A shared variance starts at what codes may leave unexplained. Starting at all of the data's,
  // the KL term outweighs the reconstruction and latents collapse before they are of use: MNIST
  // then stood at 314 nats after 20 epochs instead of 556.
  constexpr double kUnexplained = 0.3;
  float* bias = weights.data() + output_.bias_offset();
  likelihood_.visit([&](auto l) {
    using L = decltype(l);
    for (size_t c = 0; c < static_cast<size_t>(dim_); ++c) {
      const double mean = statistics->mean[c];
      const double inside = std::clamp(mean, 1e-3, 1.0 - 1e-3);
      bias[c] = static_cast<float>(
          L::range == math::DataRange::unit_interval ? std::log(inside / (1.0 - inside)) : mean);
      if constexpr (L::parameters == 2)
        bias[static_cast<size_t>(dim_) + c] =
            static_cast<float>(std::log(statistics->variance[c] + kVarianceFloor));
    }
  });
  if (likelihood_log_variance_) {
    const double total =
        std::accumulate(statistics->variance.begin(), statistics->variance.end(), 0.0);
    weights[static_cast<size_t>(*likelihood_log_variance_)] =
        static_cast<float>(std::log(kUnexplained * total / dim_ + kVarianceFloor));
  }
  return weights;
}

Vae::Encoding Vae::encode(Recorder& recorder, const Value& x) const {
  Encoding encoding;
  encoding.values = encoder_.forward(recorder, x);
  encoding.head = head_.forward(recorder, encoding.values.back(), Format::f32);
  const Value& head = encoding.head;
  if (shares_posterior_variance())
    encoding.posterior = {head.f32(), recorder.weight(*posterior_log_variance_), latent_, 0};
  else
    encoding.posterior = {head.f32(), head.f32() + latent_, 2 * latent_, 2 * latent_};
  return encoding;
}

Vae::Code Vae::sample(Recorder& recorder, const Encoding& encoding, const EpsilonSource& epsilon,
                      int32_t samples) const {
  const Rows inputs = encoding.head.rows;
  Code code;
  code.z =
      recorder.tensor({inputs.state, inputs.inputs, samples}, latent_, recorder.factor_format());
  code.kl = recorder.tensor(inputs, 1).f32();
  recorder.add(LatentForward{.inputs = inputs,
                             .samples = samples,
                             .latent = latent_,
                             .posterior = encoding.posterior,
                             .epsilon = epsilon,
                             .z = code.z.data,
                             .kl = code.kl});
  return code;
}

Vae::Decoding Vae::decode(Recorder& recorder, const Value& z) const {
  Decoding decoding;
  decoding.values = decoder_.forward(recorder, z);
  decoding.output = output_.forward(recorder, decoding.values.back(), Format::f32);
  return decoding;
}

Vae::Loss Vae::loss(Recorder& recorder, const Value& x, const Decoding& decoding,
                    bool gradients) const {
  const Rows rows = decoding.output.rows;
  Loss loss;
  loss.nll = recorder.tensor(rows, 1).f32();
  loss.grad_output = decoding.output;
  math::Bfloat16* grad_output = nullptr;
  if (gradients && recorder.factor_format() == Format::bf16) {
    loss.grad_output = recorder.tensor(rows, decoding.output.columns, Format::bf16);
    grad_output = loss.grad_output.data.as<math::Bfloat16>();
  }
  const float* log_variance = nullptr;
  switch (variance_role()) {
    case math::VarianceRole::none:
      break;
    case math::VarianceRole::fixed:
      log_variance = recorder.constant(mse_log_variance_);
      break;
    case math::VarianceRole::learned:
      log_variance = recorder.weight(*likelihood_log_variance_);
      if (gradients) loss.grad_log_variance = recorder.tensor(rows, 1).f32();
      break;
  }
  recorder.add(LikelihoodTerms{.likelihood = likelihood_,
                               .gradients = gradients,
                               .inputs = x.rows,
                               .samples = rows.per_input,
                               .columns = dim_,
                               .x = x.f32(),
                               .output = decoding.output.f32(),
                               .log_variance = log_variance,
                               .nll = loss.nll,
                               .grad_log_variance = loss.grad_log_variance,
                               .grad_output = grad_output});
  return loss;
}

Value Vae::mean(Recorder& recorder, const Decoding& decoding) const {
  const Value mean = recorder.tensor(decoding.output.rows, dim_);
  recorder.add(LikelihoodMean{.likelihood = likelihood_,
                              .rows = decoding.output.rows,
                              .columns = dim_,
                              .output = decoding.output.f32(),
                              .mean = mean.f32()});
  return mean;
}

void Vae::backward(Recorder& recorder, const Encoding& encoding, const Code& code,
                   const EpsilonSource& epsilon, const Decoding& decoding, const Loss& loss) const {
  if (likelihood_log_variance_)
    recorder.add(ColumnSum{.rows = decoding.output.rows,
                           .columns = 1,
                           .x = loss.grad_log_variance,
                           .out = recorder.gradient(*likelihood_log_variance_)});
  Value grad = output_.backward(recorder, decoding.values.back(), loss.grad_output, true);
  const Value grad_z = decoder_.backward(recorder, decoding.values, grad, true);

  const Value& head = encoding.head;
  const Value grad_head = recorder.tensor(head.rows, head.columns, recorder.factor_format());
  LatentBackward latent{.inputs = head.rows,
                        .samples = code.z.rows.per_input,
                        .latent = latent_,
                        .posterior = encoding.posterior,
                        .epsilon = epsilon,
                        .grad_z = grad_z.f32(),
                        .grad_mu = grad_head.data,
                        .grad_logvar = grad_head.data.from(latent_),
                        .grad_mu_stride = head.columns,
                        .grad_logvar_stride = head.columns};
  if (shares_posterior_variance()) {
    latent.grad_logvar = recorder.tensor(head.rows, latent_).data;
    latent.grad_logvar_stride = latent_;
  }
  recorder.add(latent);
  if (shares_posterior_variance())
    recorder.add(ColumnSum{.rows = head.rows,
                           .columns = latent_,
                           .x = latent.grad_logvar,
                           .out = recorder.gradient(*posterior_log_variance_)});
  const bool has_encoder = encoding.values.size() > 1;
  grad = head_.backward(recorder, encoding.values.back(), grad_head, has_encoder);
  encoder_.backward(recorder, encoding.values, grad, false);
}

}  // namespace elbo
