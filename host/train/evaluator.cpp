#include "host/train/evaluator.hpp"

#include <algorithm>
#include <cmath>

namespace elbo {
namespace {

// The noise of evaluations is that of a step no training reaches: validation after every epoch
// then compares weights, not draws.
constexpr uint64_t kEvaluationStep = uint64_t{1} << 55;

constexpr double kActiveVariance = 0.01;

/// Rows at a time: few enough that all samples of them fit caches and memory.
int32_t batch_rows_for(int64_t asked, int64_t rows, int64_t samples) {
  constexpr int64_t kMostInputs = 256, kMostCodes = 4096;
  if (asked == 0) asked = std::clamp<int64_t>(kMostCodes / samples, 1, kMostInputs);
  return static_cast<int32_t>(std::min(asked, rows));
}

/// Rows on the device at a time, where it cannot hold all: nothing is shuffled, and windows need
/// only be large enough for their copies to run at full speed.
uint32_t window_for(const Model& model, const Split& split, int32_t batch_rows) {
  constexpr int64_t kWindowBytes = int64_t{64} << 20;
  const int64_t row_bytes = model.data.dim() * static_cast<int64_t>(size_of(split.dtype));
  const uint32_t fitting = fitting_window(*model.device, split, model.data.dim(), batch_rows);
  const int64_t batches = std::max<int64_t>(1, kWindowBytes / row_bytes / batch_rows);
  return static_cast<uint32_t>(std::min<int64_t>(fitting, batches * batch_rows));
}

/// Mean and variance of each column of rows seen one by one (Welford 1962).
class RunningMoments {
 public:
  explicit RunningMoments(size_t columns) : mean_(columns), squares_(columns) {}
  void add(const float* row) {
    ++count_;
    for (size_t c = 0; c < mean_.size(); ++c) {
      const double delta = row[c] - mean_[c];
      mean_[c] += delta / static_cast<double>(count_);
      squares_[c] += delta * (row[c] - mean_[c]);
    }
  }
  double variance(size_t column) const { return squares_[column] / static_cast<double>(count_); }

 private:
  int64_t count_ = 0;
  std::vector<double> mean_, squares_;
};

std::vector<float> download(const Model& model, const float* from, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  if (count > 0) model.device->download(values.data(), from, values.size() * sizeof(float));
  return values;
}

}  // namespace

Evaluator::Evaluator(const Model& model, const Split& split, int64_t batch_rows)
    : model_(model),
      batch_rows_(batch_rows_for(batch_rows, split.size(), model.vae.samples())),
      rows_(make_device_rows(model.device, split, model.data.dim(),
                             {.batch_rows = batch_rows_,
                              .window = window_for(model, split, batch_rows_),
                              .seed = static_cast<uint64_t>(model.config.seed)})),
      state_(model.device, 1, "an evaluation's state"),
      row_ids_(model.device, static_cast<size_t>(batch_rows_), "a batch's row numbers"),
      epsilon_(model.device,
               static_cast<size_t>(batch_rows_) * static_cast<size_t>(model.vae.latent()),
               "a batch's codes") {
  record();
}

void Evaluator::record() {
  const Vae& vae = model_.vae;
  const Rows inputs = {state_.data(), batch_rows_, 1};
  Recorder recorder(model_.device, model_.arena);

  x_ = recorder.tensor(inputs, vae.dim());
  GatherBatch gather = rows_->gather();
  gather.view = model_.view();
  gather.batch = inputs;
  gather.x = x_.f32();
  gather.row_ids = row_ids_.data();
  recorder.add(gather);
  const Vae::Encoding encoding = vae.encode(recorder, x_);
  posterior_ = encoding.posterior;
  const Program encoded = recorder.program();
  encode_ = model_.device->prepare(encoded);

  const Vae::Code code =
      vae.sample(recorder, encoding, {gather.seed, row_ids_.data(), nullptr}, vae.samples());
  kl_ = code.kl;
  const Vae::Decoding decoding = vae.decode(recorder, code.z);
  nll_ = vae.loss(recorder, x_, decoding, false).nll;
  evaluate_ = model_.device->prepare(recorder.program());
  buffers_ = recorder.take_buffers();

  Recorder mean(model_.device, model_.arena);
  for (const Op& op : encoded) mean.add(op);
  const Vae::Code center = vae.sample(mean, encoding, {gather.seed, nullptr, epsilon_.data()}, 1);
  means_ = vae.mean(mean, vae.decode(mean, center.z));
  reconstruct_ = model_.device->prepare(mean.program());
  for (Buffer<float>& buffer : mean.take_buffers()) buffers_.push_back(std::move(buffer));
}

void Evaluator::for_each_batch(int64_t rows,
                               const std::function<void(uint32_t first, int rows)>& use) {
  StepState state;
  state.step = kEvaluationStep;
  for (int64_t first = 0; first < rows; first += batch_rows_) {
    state.first_row = static_cast<uint32_t>(first);
    state.rows = static_cast<int32_t>(std::min<int64_t>(batch_rows_, rows - first));
    state_.upload({&state, 1});
    rows_->make_ready(static_cast<uint64_t>(first / batch_rows_));
    use(state.first_row, state.rows);
  }
}

Evaluation Evaluator::evaluate() {
  const int32_t latent = model_.vae.latent(), samples = model_.vae.samples();
  RunningMoments codes(static_cast<size_t>(latent));
  double nll_sum = 0.0, kl_sum = 0.0, elbo_mean = 0.0, elbo_squares = 0.0;
  int64_t count = 0;
  for_each_batch(rows_->count(), [&](uint32_t, int rows) {
    evaluate_->run();
    const auto nll = download(model_, nll_, static_cast<int64_t>(rows) * samples);
    const auto kl = download(model_, kl_, rows);
    const auto mu = download(model_, posterior_.mu,
                             static_cast<int64_t>(rows - 1) * posterior_.mu_stride + latent);
    for (int r = 0; r < rows; ++r) {
      double row_nll = 0.0;
      for (int l = 0; l < samples; ++l) row_nll += nll[static_cast<size_t>(r * samples + l)];
      row_nll /= samples;
      const double row_kl = kl[static_cast<size_t>(r)];
      const double elbo = -row_nll - row_kl;
      nll_sum += row_nll;
      kl_sum += row_kl;
      const double delta = elbo - elbo_mean;
      elbo_mean += delta / static_cast<double>(++count);
      elbo_squares += delta * (elbo - elbo_mean);
      codes.add(mu.data() + static_cast<int64_t>(r) * posterior_.mu_stride);
    }
  });
  Evaluation result;
  const auto n = static_cast<double>(count);
  result.count = count;
  result.reconstruction = -nll_sum / n;
  result.kl = kl_sum / n;
  result.elbo = result.reconstruction - result.kl;
  result.elbo_standard_error = count > 1 ? std::sqrt(elbo_squares / (n - 1.0) / n) : 0.0;
  result.bits_per_dim =
      -result.elbo / (model_.vae.dim() * std::log(2.0)) + model_.bits_per_dim_offset();
  for (int32_t j = 0; j < latent; ++j)
    result.active_units += codes.variance(static_cast<size_t>(j)) > kActiveVariance ? 1 : 0;
  return result;
}

std::vector<float> Evaluator::encode(bool log_variances) {
  const int32_t latent = model_.vae.latent();
  std::vector<float> codes;
  codes.reserve(static_cast<size_t>(rows_->count()) * static_cast<size_t>(latent) *
                (log_variances ? 2 : 1));
  for_each_batch(rows_->count(), [&](uint32_t, int rows) {
    encode_->run();
    const PosteriorView& p = posterior_;
    const auto mu = download(model_, p.mu, static_cast<int64_t>(rows - 1) * p.mu_stride + latent);
    std::vector<float> logvar;
    if (log_variances)
      logvar =
          download(model_, p.logvar, static_cast<int64_t>(rows - 1) * p.logvar_stride + latent);
    for (int r = 0; r < rows; ++r) {
      const auto mu_row = mu.begin() + static_cast<int64_t>(r) * p.mu_stride;
      codes.insert(codes.end(), mu_row, mu_row + latent);
      if (!log_variances) continue;
      const auto logvar_row = logvar.begin() + static_cast<int64_t>(r) * p.logvar_stride;
      codes.insert(codes.end(), logvar_row, logvar_row + latent);
    }
  });
  return codes;
}

Evaluator::Reconstructions Evaluator::reconstruct(int64_t rows) {
  Reconstructions result;
  for_each_batch(std::min<int64_t>(rows, rows_->count()), [&](uint32_t, int batch) {
    reconstruct_->run();
    const int64_t count = static_cast<int64_t>(batch) * model_.vae.dim();
    const auto inputs = download(model_, x_.f32(), count);
    const auto means = download(model_, means_.f32(), count);
    result.inputs.insert(result.inputs.end(), inputs.begin(), inputs.end());
    result.means.insert(result.means.end(), means.begin(), means.end());
  });
  return result;
}

std::vector<float> decode(const Model& model, std::span<const float> z) {
  constexpr int64_t kBatchRows = 256;
  const auto latent = static_cast<int64_t>(model.vae.latent());
  const int64_t count = static_cast<int64_t>(z.size()) / latent;
  std::vector<float> means;
  if (count == 0) return means;
  Buffer<StepState> state(model.device, 1, "a decoding's state");
  Recorder recorder(model.device, model.arena);
  const Rows rows = {state.data(), static_cast<int32_t>(std::min(kBatchRows, count)), 1};
  const Value code = recorder.tensor(rows, model.vae.latent());
  const Value mean = model.vae.mean(recorder, model.vae.decode(recorder, code));
  const std::unique_ptr<Executable> executable = model.device->prepare(recorder.program());
  for (int64_t first = 0; first < count; first += kBatchRows) {
    StepState batch;
    batch.rows = static_cast<int32_t>(std::min(kBatchRows, count - first));
    state.upload({&batch, 1});
    const auto codes =
        z.subspan(static_cast<size_t>(first * latent), static_cast<size_t>(batch.rows * latent));
    model.device->upload(code.f32(), codes.data(), codes.size_bytes());
    executable->run();
    const auto rows_out =
        download(model, mean.f32(), static_cast<int64_t>(batch.rows) * model.vae.dim());
    means.insert(means.end(), rows_out.begin(), rows_out.end());
  }
  return means;
}

std::vector<float> sample(const Model& model, int64_t count, uint64_t seed) {
  const int64_t numbers = count * model.vae.latent();
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
