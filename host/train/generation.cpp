#include "host/train/generation.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.hpp"

namespace elbo {
namespace {

/// Applies the network that `record` records to rows [count, columns], in batches.
template <class Record>
std::vector<float> run_rows(const Model& model, std::span<const float> rows, int32_t columns,
                            Record&& record) {
  constexpr int64_t kBatchRows = 256;
  const int64_t count = static_cast<int64_t>(rows.size()) / columns;
  std::vector<float> results;
  if (count == 0) return results;
  Buffer<StepState> state(model.device, 1, "a batch's state");
  Recorder recorder(model.device, model.arena);
  const Value in = recorder.tensor(
      {state.data(), static_cast<int32_t>(std::min(kBatchRows, count)), 1}, columns);
  const Value out = record(recorder, in);
  const std::unique_ptr<Executable> executable = model.device->prepare(recorder.program());
  for (int64_t first = 0; first < count; first += kBatchRows) {
    StepState batch;
    batch.rows = static_cast<int32_t>(std::min(kBatchRows, count - first));
    state.upload({&batch, 1});
    const auto part = rows.subspan(static_cast<size_t>(first * columns),
                                   static_cast<size_t>(batch.rows * columns));
    model.device->upload(in.f32(), part.data(), part.size_bytes());
    executable->run();
    const size_t done = results.size();
    results.resize(done + static_cast<size_t>(batch.rows) * static_cast<size_t>(out.columns));
    model.device->download(results.data() + done, out.f32(),
                           (results.size() - done) * sizeof(float));
  }
  return results;
}

}  // namespace

std::vector<float> decode(const Model& model, std::span<const float> z) {
  model.require(Part::decoder);
  const Decoder& decoder = model.architecture.decoder();
  return run_rows(model, z, model.architecture.latent(),
                  [&](Recorder& recorder, const Value& code) {
                    return decoder.mean(recorder, decoder.decode(recorder, code));
                  });
}

std::vector<float> codes_between(std::span<const float> from, std::span<const float> to,
                                 int64_t steps, bool spherical) {
  double dot = 0.0, from_square = 0.0, to_square = 0.0;
  for (size_t j = 0; j < from.size(); ++j) {
    dot += static_cast<double>(from[j]) * to[j];
    from_square += static_cast<double>(from[j]) * from[j];
    to_square += static_cast<double>(to[j]) * to[j];
  }
  const double angle = std::acos(std::clamp(dot / std::sqrt(from_square * to_square), -1.0, 1.0));
  // Codes that are 0 or collinear define no great circle. If a code is 0, the angle is NaN.
  constexpr double kSmallestSine = 1e-6;
  const double sine = std::sin(angle);
  const bool circle = spherical && sine > kSmallestSine;
  std::vector<float> codes;
  for (int64_t i = 0; i < steps; ++i) {
    const double part = steps == 1 ? 0.0 : static_cast<double>(i) / static_cast<double>(steps - 1);
    const double of_from = circle ? std::sin((1.0 - part) * angle) / sine : 1.0 - part;
    const double of_to = circle ? std::sin(part * angle) / sine : part;
    for (size_t j = 0; j < from.size(); ++j)
      codes.push_back(static_cast<float>(of_from * from[j] + of_to * to[j]));
  }
  return codes;
}

std::vector<float> interpolate(const Model& model, std::span<const float> rows,
                               std::span<const float> codes, int64_t steps) {
  const auto latent = static_cast<size_t>(model.architecture.latent());
  const auto dim = static_cast<size_t>(model.architecture.dim());
  const size_t pairs = rows.size() / dim / 2;
  ELBO_ASSERT(rows.size() == 2 * pairs * dim && codes.size() == 2 * pairs * latent);
  std::vector<float> z;
  for (size_t pair = 0; pair < pairs; ++pair) {
    const std::vector<float> between = codes_between(
        codes.subspan(2 * pair * latent, latent), codes.subspan((2 * pair + 1) * latent, latent),
        steps, model.architecture.encoder().gaussian());
    z.insert(z.end(), between.begin(), between.end());
  }
  const std::vector<float> means = decode(model, z);
  std::vector<float> pictures;
  const auto append = [&](std::span<const float> from, size_t first, size_t count) {
    const auto part = from.subspan(first * dim, count * dim);
    pictures.insert(pictures.end(), part.begin(), part.end());
  };
  for (size_t pair = 0; pair < pairs; ++pair) {
    append(rows, 2 * pair, 1);
    append(means, pair * static_cast<size_t>(steps), static_cast<size_t>(steps));
    append(rows, 2 * pair + 1, 1);
  }
  return pictures;
}

std::vector<float> discriminate(const Model& model, std::span<const float> rows) {
  model.require(Part::discriminator);
  const Architecture& architecture = model.architecture;
  const bool codes = architecture.judges_codes();
  return run_rows(model, rows, codes ? architecture.latent() : architecture.dim(),
                  [&](Recorder& recorder, const Value& row) {
                    return architecture.discriminator().probability(recorder, row);
                  });
}

bool has_prior(const ModelSettings& s) {
  return s.decodes() &&
         (s.gaussian() || s.on_codes() ||
          (s.adversarial() && s.discriminator_inputs != DiscriminatorInputs::reconstructions));
}

std::vector<float> sample(const Model& model, int64_t count, uint64_t seed) {
  model.require(Part::decoder);
  if (!has_prior(model.settings))
    throw ConfigError("sample: with " + said(model.settings, model.settings.bottleneck) + " and " +
                      said(model.settings, model.settings.discriminator) +
                      " nothing makes codes look like a prior; expected bottleneck gaussian or "
                      "discriminator code");
  const int64_t numbers = count * model.architecture.latent();
  Buffer<float> z(model.device, static_cast<size_t>(numbers), "samples of the prior");
  if (numbers > 0)
    model.device->run(
        {RandomFill{.distribution = Distribution::normal,
                    .seed = seed,
                    .subsequence = math::noise_subsequence(math::NoiseStream::prior, 0),
                    .count = numbers,
                    .out = z.data()}});
  return decode(model, z.download());
}

}  // namespace elbo
