#include "host/train/importance_sampling.hpp"

#include <algorithm>

#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

/// Returns the number of samples of each of `inputs` rows per run. Balances the runs, so that the
/// last run wastes few samples.
int32_t chunk_for(const ImportanceSampling& sampling, const Device& device, int32_t inputs) {
  // On a CPU, the outputs of a layer must stay in its cache until the next layer reads them.
  const int64_t suited = device.kind() == DeviceKind::cpu ? 1024 : 4096;
  const int64_t rows = sampling.decoder_rows == 0 ? suited : sampling.decoder_rows;
  const int64_t most = std::clamp<int64_t>(rows / inputs, 1, sampling.samples);
  const int64_t runs = (sampling.samples + most - 1) / most;
  return static_cast<int32_t>((sampling.samples + runs - 1) / runs);
}

}  // namespace

void require_importance_sampling(const Model& model, const ImportanceSampling& sampling) {
  const std::string got = formatted("importance-samples: got '{}', ", sampling.samples);
  if (sampling.samples < 1) throw ConfigError(got + "expected at least 1");
  const Architecture& architecture = model.architecture;
  if (!architecture.encoder().gaussian() || !architecture.has(Part::decoder))
    throw ConfigError(
        got + "but a model with " + said(model.settings, model.settings.bottleneck) + " and " +
        said(model.settings, model.settings.likelihood) +
        " has no p(x|z) p(z) / q(z|x); expected bottleneck gaussian and a likelihood");
  const int64_t most = most_samples(architecture.latent());
  if (sampling.samples > most)
    throw ConfigError(
        formatted("{}expected at most {} with latent-dim {}, beyond which noise repeats", got, most,
                  architecture.latent()));
}

ImportanceSampler::ImportanceSampler(const Model& model, const Batch& batch,
                                     const ImportanceSampling& sampling)
    : model_(model),
      samples_(sampling.samples),
      on_progress_(sampling.on_progress),
      state_(model.device, 1, "a run's state") {
  require_importance_sampling(model, sampling);
  chunk_ = chunk_for(sampling, *model.device, batch.x.rows.inputs);
  Value x = batch.x;
  x.rows.state = state_.data();
  Recorder recorder(model.device, model.arena);
  const Encoder::WeighedCode code = model.architecture.encoder().sample_weighed(
      recorder, x.rows, batch.posterior, batch.epsilon, chunk_);
  const Decoder& decoder = model.architecture.decoder();
  log_ratio_ = code.log_ratio;
  nll_ = decoder.loss(recorder, x, decoder.decode(recorder, code.z), 1.0f);
  executable_ = model.device->prepare(recorder.program());
  buffers_ = recorder.take_buffers();
}

std::vector<double> ImportanceSampler::log_likelihoods(uint64_t step, int32_t rows) {
  const size_t codes = static_cast<size_t>(rows) * static_cast<size_t>(chunk_);
  std::vector<float> log_ratio(codes), nll(codes);
  std::vector<LogMeanExp> means(static_cast<size_t>(rows));
  for (int64_t first = 0; first < samples_; first += chunk_) {
    StepState state;
    state.step = step;
    state.rows = rows;
    state.first_sample = static_cast<uint64_t>(first);
    state_.upload({&state, 1});
    executable_->run();
    model_.device->download(log_ratio.data(), log_ratio_, codes * sizeof(float));
    model_.device->download(nll.data(), nll_, codes * sizeof(float));
    const auto wanted = static_cast<size_t>(std::min<int64_t>(chunk_, samples_ - first));
    for (size_t r = 0; r < means.size(); ++r)
      for (size_t l = r * static_cast<size_t>(chunk_), end = l + wanted; l < end; ++l)
        means[r].add(static_cast<double>(log_ratio[l]) - nll[l]);
    if (on_progress_) on_progress_(rows * static_cast<int64_t>(wanted));
  }
  std::vector<double> result;
  for (const LogMeanExp& mean : means) result.push_back(mean.value());
  return result;
}

}  // namespace elbo
