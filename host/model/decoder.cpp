#include "host/model/decoder.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/model/choices.hpp"

namespace elbo {
namespace {

int32_t parameters_of(math::Likelihood likelihood) {
  int32_t count = 0;
  likelihood.visit([&](auto l) { count = decltype(l)::parameters; });
  return count;
}

std::vector<int64_t> reversed(std::vector<int64_t> widths) {
  std::ranges::reverse(widths);
  return widths;
}

constexpr math::Activation kIdentity = math::Activation::of<math::Identity>();

}  // namespace

Decoder::Decoder(ParameterLayout& layout, const Config& config, int32_t latent, int32_t dim)
    : dim_(dim),
      likelihood_{math::Likelihoods::find(config.likelihood)},
      mse_log_variance_(static_cast<float>(std::log(config.mse_variance))),
      network_(layout, "decoder", latent, reversed(config.hidden),
               activation_of(config.activation)),
      output_(layout, "likelihood", network_.out(), parameters_of(likelihood_) * dim_, kIdentity),
      log_variance_(variance_role() == math::VarianceRole::learned
                        ? std::optional(layout.add("likelihood.log_variance", {1}))
                        : std::nullopt) {}

math::VarianceRole Decoder::variance_role() const {
  math::VarianceRole role{};
  likelihood_.visit([&](auto l) { role = decltype(l)::variance; });
  return role;
}

void Decoder::initialize(std::span<float> weights, uint64_t seed,
                         const ColumnStatistics* statistics) const {
  network_.initialize(weights, seed);
  output_.initialize(weights, seed);
  if (statistics == nullptr) return;

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
  if (log_variance_) {
    const double total =
        std::accumulate(statistics->variance.begin(), statistics->variance.end(), 0.0);
    weights[static_cast<size_t>(*log_variance_)] =
        static_cast<float>(std::log(kUnexplained * total / dim_ + kVarianceFloor));
  }
}

Value Decoder::decode(Recorder& recorder, const Value& z) const {
  return output_.forward(recorder, network_.forward(recorder, z), Format::f32);
}

Value Decoder::mean(Recorder& recorder, const Value& output) const {
  Value mean = recorder.tensor(output.rows, dim_);
  mean.gradient = recorder.factor_format();
  likelihood_.visit([&](auto l) {
    using Mean = typename decltype(l)::Mean;
    static_assert(!Mean::derivative_from_input, "only the mean is kept");
    mean.activation = math::Activation::of<Mean>();
    if constexpr (!std::is_same_v<Mean, math::Identity>) mean.saved = mean.data;
  });
  recorder.add(LikelihoodMean{.likelihood = likelihood_,
                              .rows = output.rows,
                              .columns = dim_,
                              .output = output.f32(),
                              .mean = mean.f32()});
  // The gradient before the mean's activation is the one at the first of the output's parameters.
  recorder.on_tape(mean, {output}, {},
                   [&recorder, output](const Value& grad) { recorder.add_gradient(output, grad); });
  return mean;
}

LikelihoodTerms Decoder::terms(Recorder& recorder, const Value& x, const Value& output) const {
  const float* log_variance = nullptr;
  if (variance_role() == math::VarianceRole::fixed)
    log_variance = recorder.constants(1, mse_log_variance_);
  else if (log_variance_)
    log_variance = recorder.weight(*log_variance_);
  return {.likelihood = likelihood_,
          .gradients = false,
          .inputs = x.rows,
          .samples = output.rows.per_input,
          .columns = dim_,
          .x = x.f32(),
          .output = output.f32(),
          .log_variance = log_variance,
          .nll = recorder.tensor(output.rows, 1).f32()};
}

float* Decoder::nll(Recorder& recorder, const Value& x, const Value& output) const {
  const LikelihoodTerms op = terms(recorder, x, output);
  recorder.add(op);
  return op.nll;
}

float* Decoder::loss(Recorder& recorder, const Value& x, const Value& output, float weight,
                     const float* row_weight) const {
  if (!recorder.wants_gradient(output)) return nll(recorder, x, output);
  const Rows rows = output.rows;
  const Value grad = recorder.loss_gradient(output);
  LikelihoodTerms op = terms(recorder, x, output);
  op.gradients = true;
  op.weight = weight;
  op.row_weight = row_weight;
  op.grad_output = grad.bf16();
  if (log_variance_ && recorder.trains(*log_variance_))
    op.grad_log_variance = recorder.tensor(rows, 1).f32();
  recorder.add(op);
  if (op.grad_log_variance != nullptr)
    recorder.add(ColumnSum{.rows = rows,
                           .columns = 1,
                           .x = op.grad_log_variance,
                           .out = recorder.gradient(*log_variance_)});
  recorder.add_gradient(output, grad);
  return op.nll;
}

}  // namespace elbo
