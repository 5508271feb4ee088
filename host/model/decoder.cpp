#include "host/model/decoder.hpp"

#include <algorithm>
#include <cmath>

#include "host/data/sample_pictures.hpp"
#include "host/nn/resample.hpp"

namespace elbo {
namespace {

int32_t parameters_of(math::Likelihood likelihood) {
  int32_t count = 0;
  likelihood.visit([&](auto l) { count = decltype(l)::parameters; });
  return count;
}

/// Returns the statistics of each channel: the mean over all pixels, and the variance about it,
/// because a convolution has one bias per channel. Returns `elements` itself if rows are vectors.
ColumnStatistics of_channels(const ColumnStatistics& elements, const DataMap& data) {
  const auto pixels = static_cast<size_t>(data.map.pixels());
  const auto channels = static_cast<size_t>(data.map.channels);
  if (pixels == 1) return elements;
  ColumnStatistics s = {std::vector<double>(channels), std::vector<double>(channels)};
  for (size_t c = 0; c < channels; ++c) {
    const auto at = [&](const std::vector<double>& values, size_t pixel) {
      return values[data.planar ? c * pixels + pixel : pixel * channels + c];
    };
    for (size_t p = 0; p < pixels; ++p) s.mean[c] += at(elements.mean, p) / pixels;
    for (size_t p = 0; p < pixels; ++p) {
      const double deviation = at(elements.mean, p) - s.mean[c];
      s.variance[c] += (at(elements.variance, p) + deviation * deviation) / pixels;
    }
  }
  return s;
}

}  // namespace

Decoder::Decoder(ParameterLayout& layout, const LikelihoodSettings& settings,
                 const NetworkSettings& network, int32_t latent, const Shape& sample_shape)
    : data_(data_map(network, sample_shape)),
      dim_(data_.map.size()),
      likelihood_(settings.likelihood.value()),
      mse_log_variance_(static_cast<float>(std::log(settings.mse_variance))),
      network_(layout, "decoder", {1, 1, latent},
               decoder_layers(network, data_.map, parameters_of(likelihood_)).hidden),
      output_(make_layer(layout, "likelihood", network_.out(),
                         decoder_layers(network, data_.map, parameters_of(likelihood_)).output)),
      bias_(layout.find("likelihood.bias")->offset) {
  if (variance_role() == math::VarianceRole::learned_by_channel) {
    const PictureLayout picture = picture_layout(sample_shape);
    channels_ = picture.channels;
    channel_step_ = picture.step_c;
  }
  if (is_learned(variance_role()))
    log_variance_ = layout.add("likelihood.log_variance", {channels_});
}

math::VarianceRole Decoder::variance_role() const {
  math::VarianceRole role{};
  likelihood_.visit([&](auto l) { role = decltype(l)::variance; });
  return role;
}

void Decoder::initialize(std::span<float> weights, uint64_t seed,
                         const ColumnStatistics* statistics) const {
  network_.initialize(weights, seed);
  output_->initialize(weights, seed);
  if (statistics == nullptr) return;

  constexpr double kVarianceFloor = 1e-4;  // for elements that never vary
  // A learned variance starts at the fraction of the data's variance that the code is assumed to
  // leave unexplained. If it starts at the full variance, the KL term outweighs the reconstruction
  // and latents collapse before they become useful: MNIST then reached 314 nats after 20 epochs
  // instead of 556.
  constexpr double kUnexplained = 0.3;
  const ColumnStatistics start = of_channels(*statistics, data_);
  const size_t columns = start.mean.size();
  float* bias = weights.data() + bias_;
  likelihood_.visit([&](auto l) {
    for (size_t e = 0; e < columns; ++e) {
      const auto parameters = decltype(l)::start(start.mean[e], start.variance[e] + kVarianceFloor);
      for (size_t p = 0; p < parameters.size(); ++p)
        bias[p * columns + e] = static_cast<float>(parameters[p]);
    }
  });
  if (!log_variance_) return;
  std::vector<double> total(static_cast<size_t>(channels_));
  for (size_t e = 0; e < static_cast<size_t>(dim_); ++e)
    total[e / static_cast<size_t>(channel_step_) % total.size()] += statistics->variance[e];
  for (size_t channel = 0; channel < total.size(); ++channel)
    weights[static_cast<size_t>(*log_variance_) + channel] = static_cast<float>(
        std::log(kUnexplained * total[channel] * channels_ / dim_ + kVarianceFloor));
}

Value Decoder::decode(Recorder& recorder, const Value& z) const {
  const Value output = output_->forward(recorder, network_.forward(recorder, z), Format::f32);
  // A convolution interleaves the parameters of a pixel; the likelihood needs one block per
  // parameter, in the element order of the data.
  const int32_t pixels = data_.map.pixels(), parameters = output.columns / dim_;
  if (data_.planar) return swap_axes(recorder, output, pixels, parameters * data_.map.channels, 1);
  if (pixels > 1 && parameters > 1)
    return swap_axes(recorder, output, pixels, parameters, data_.map.channels);
  return output;
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
  // The gradient before the mean's activation equals the gradient of the first parameter of the
  // output.
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
          .channels = channels_,
          .channel_step = channel_step_,
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
    op.grad_log_variance = recorder.tensor(rows, channels_).f32();
  recorder.add(op);
  if (op.grad_log_variance != nullptr)
    recorder.add(ColumnSum{.rows = rows,
                           .columns = channels_,
                           .x = op.grad_log_variance,
                           .out = recorder.gradient(*log_variance_)});
  recorder.add_gradient(output, grad);
  return op.nll;
}

}  // namespace elbo
