#include "host/train/evaluator.hpp"

#include <algorithm>
#include <cmath>

#include "host/data/statistics.hpp"
#include "host/train/running_moments.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

// Evaluations use the noise of a step that no training reaches, the same each time, so that
// validation after every epoch compares weights and not draws.
constexpr uint64_t kEvaluationStep = uint64_t{1} << 55;

/// Returns the number of rows per batch: small enough that all their samples fit into caches and
/// memory.
int32_t batch_rows_for(int64_t asked, int64_t rows, int64_t samples) {
  constexpr int64_t kMostInputs = 256, kMostCodes = 4096;
  if (asked == 0) asked = std::clamp<int64_t>(kMostCodes / samples, 1, kMostInputs);
  return static_cast<int32_t>(std::min(asked, rows));
}

/// Returns the number of rows on the device at a time, 0 for all. Nothing is shuffled, so windows
/// need only be large enough for copies to run at full bandwidth.
uint32_t window_for(const Model& model, const Split& split, int32_t batch_rows) {
  constexpr int64_t kWindowBytes = int64_t{64} << 20;
  const int64_t row_bytes = model.data.dim() * static_cast<int64_t>(size_of(split.dtype));
  const uint32_t fitting = fitting_window(*model.device, split, model.data.dim(), batch_rows);
  const int64_t batches = std::max<int64_t>(1, kWindowBytes / row_bytes / batch_rows);
  return static_cast<uint32_t>(std::min<int64_t>(fitting, batches * batch_rows));
}

std::vector<float> download(const Model& model, const float* from, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  if (count > 0) model.device->download(values.data(), from, values.size() * sizeof(float));
  return values;
}

/// Returns the mean of the `per_input` values of a row.
double row_mean(const std::vector<float>& values, int row, int per_input) {
  double sum = 0.0;
  for (int i = 0; i < per_input; ++i) sum += values[static_cast<size_t>(row * per_input + i)];
  return sum / per_input;
}

/// Accumulates the terms of a pass row by row: their means, and the standard errors of the metrics.
class MetricMoments {
 public:
  explicit MetricMoments(const std::vector<ReportedTerm>& terms)
      : terms_(terms), sums_(terms.size()) {}

  /// Adds row `row` of a batch; `values` contains the values of every term.
  void add(const std::vector<std::vector<float>>& values, int row) {
    std::vector<std::pair<std::string_view, double>> of_row;
    for (size_t t = 0; t < terms_.size(); ++t) {
      of_row.emplace_back(terms_[t].name, row_mean(values[t], row, terms_[t].term.per_input));
      sums_[t] += of_row.back().second;
    }
    std::vector<double> metrics;
    for (const Metric& metric : metrics_of(of_row)) metrics.push_back(metric.value);
    if (!moments_) moments_.emplace(metrics.size());
    moments_->add(metrics.data());
    ++count_;
  }
  std::vector<std::pair<std::string_view, double>> means() const {
    std::vector<std::pair<std::string_view, double>> means;
    for (size_t t = 0; t < terms_.size(); ++t)
      means.emplace_back(terms_[t].name, sums_[t] / static_cast<double>(count_));
    return means;
  }
  /// Returns the standard error of element `m` of metrics_of(means()).
  double standard_error(size_t m) const { return moments_->standard_error(m); }

 private:
  const std::vector<ReportedTerm>& terms_;
  std::vector<double> sums_;
  std::optional<RunningMoments> moments_;
  int64_t count_ = 0;
};

/// Sets the values in bits of every estimate.
void add_bits(Evaluation& e, const Model& model) {
  const double nats_per_bit = model.architecture.dim() * std::log(2.0);
  for_each_estimate(e, [&](const char*, Estimate& estimate, Measure measure) {
    const double length =
        (measure == Measure::log_likelihood ? -estimate.value : estimate.value) / nats_per_bit;
    estimate.bits_per_dim =
        measure == Measure::divergence ? length : length + model.bits_per_dim_offset();
    estimate.bits_per_dim_standard_error = estimate.standard_error / nats_per_bit;
  });
}

double decibels(double mean_squared_error) { return -10.0 * std::log10(mean_squared_error); }

StepTerm record_distance(Recorder& recorder, const Value& x, const Value& y) {
  float* distance = recorder.tensor(y.rows, 1).f32();
  recorder.add(SquaredDistance{
      .rows = y.rows, .columns = y.columns, .x = x.f32(), .y = y.f32(), .distance = distance});
  return {distance, y.rows.per_input};
}

double zero_part(const float* code, int32_t latent) {
  return static_cast<double>(std::count(code, code + latent, 0.0f)) / latent;
}

}  // namespace

Evaluator::Evaluator(const Model& model, const Split& split, int64_t batch_rows)
    : model_(model),
      split_(split),
      batch_rows_(batch_rows_for(batch_rows, split.size(), model.architecture.samples())),
      rows_(make_device_rows(model.device, split, model.data.dim(),
                             {.batch_rows = batch_rows_,
                              .window = window_for(model, split, batch_rows_),
                              .seed = static_cast<uint64_t>(model.settings.seed)})),
      state_(model.device, 1, "an evaluation's state"),
      row_ids_(model.device, static_cast<size_t>(batch_rows_), "a batch's row numbers"),
      epsilon_(model.device,
               static_cast<size_t>(batch_rows_) * static_cast<size_t>(model.architecture.latent()),
               "a batch's codes") {
  if (model.architecture.has(Part::classifier))
    labels_ = upload_labels(model.device, split, model.data.classes);
}

Evaluator::Pass& Evaluator::pass(Purpose purpose) {
  const auto found = passes_.find(purpose);
  if (found != passes_.end()) return found->second;
  return passes_.emplace(purpose, record(purpose)).first->second;
}

Evaluator::Pass Evaluator::record(Purpose purpose) {
  const Architecture& architecture = model_.architecture;
  const Rows inputs = {state_.data(), batch_rows_, 1};
  Recorder recorder(model_.device, model_.arena);
  Pass pass;
  pass.x = recorder.tensor(inputs, architecture.dim());
  GatherBatch gather = rows_->gather();
  gather.batch = inputs;
  gather.row_ids = row_ids_.data();
  const bool trained_input = purpose == Purpose::evaluate || purpose == Purpose::likelihood ||
                             purpose == Purpose::reconstruct;
  pass.input = model_.view_batch(gather, recorder, pass.x,
                                 trained_input ? Model::Inputs::corrupted : Model::Inputs::clean);
  recorder.add(gather);

  EpsilonSource epsilon = {gather.seed, row_ids_.data(), nullptr};
  int32_t samples = architecture.samples();
  if (purpose != Purpose::evaluate) {
    epsilon.buffer = epsilon_.data();
    samples = 1;
  }
  BatchPass batch(architecture, model_.settings, recorder,
                  {.x = pass.x,
                   .input = pass.input,
                   .epsilon = epsilon,
                   .labels = {labels_.data(), labels_.size()},
                   .samples = samples});
  const Encoder::Encoding& encoding = batch.encoding();
  pass.code = encoding.posterior;
  if (!architecture.encoder().gaussian())
    pass.code = {encoding.head.f32(), nullptr, architecture.latent(), 0};

  switch (purpose) {
    case Purpose::likelihood:
    case Purpose::encode:
      break;
    case Purpose::reconstruct:
      pass.output = batch.mean();
      break;
    case Purpose::decode:
      pass.output = architecture.decoder().decode(recorder, batch.code().z);
      break;
    case Purpose::classify:
      pass.output = architecture.classifier().logits(recorder, batch.code().z);
      break;
    case Purpose::evaluate:
      batch.add_all(!labels_.empty());
      pass.terms = batch.terms();
      if (architecture.has(Part::decoder) && !architecture.encoder().gaussian()) {
        pass.terms.push_back({"squared_error", record_distance(recorder, pass.x, batch.mean())});
        if (pass.input.data.data != pass.x.data.data)
          pass.terms.push_back(
              {"input_squared_error", record_distance(recorder, pass.x, pass.input)});
      }
      break;
  }
  pass.executable = model_.device->prepare(recorder.program());
  for (Buffer<float>& buffer : recorder.take_buffers()) buffers_.push_back(std::move(buffer));
  return pass;
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

std::vector<double> Evaluator::log_likelihoods(const ImportanceSampling& importance) {
  require_importance_sampling(model_, importance);
  const Pass& pass = this->pass(Purpose::likelihood);
  ImportanceSampler sampler(model_,
                            {.x = pass.x,
                             .posterior = pass.code,
                             .epsilon = {rows_->gather().seed, row_ids_.data(), nullptr}},
                            importance);
  std::vector<double> results;
  for_each_batch(rows_->count(), [&](uint32_t, int rows) {
    pass.executable->run();
    const std::vector<double> batch = sampler.log_likelihoods(kEvaluationStep, rows);
    results.insert(results.end(), batch.begin(), batch.end());
  });
  return results;
}

Evaluation Evaluator::evaluate(const ImportanceSampling& importance) {
  RunningMoments likelihoods(1);
  if (importance.samples != 0)
    for (const double value : log_likelihoods(importance)) likelihoods.add(&value);
  const Architecture& architecture = model_.architecture;
  const ModelSettings& settings = model_.settings;
  const int32_t latent = architecture.latent();
  const Pass& pass = this->pass(Purpose::evaluate);
  RunningMoments codes(static_cast<size_t>(latent));
  MetricMoments moments(pass.terms);
  double zeros = 0.0;
  int64_t count = 0;
  for_each_batch(rows_->count(), [&](uint32_t, int rows) {
    pass.executable->run();
    std::vector<std::vector<float>> values;
    for (const auto& [name, term] : pass.terms)
      values.push_back(download(model_, term.values, static_cast<int64_t>(rows) * term.per_input));
    const auto code = download(model_, pass.code.mu,
                               static_cast<int64_t>(rows - 1) * pass.code.mu_stride + latent);
    for (int r = 0; r < rows; ++r) {
      moments.add(values, r);
      const float* row = code.data() + static_cast<int64_t>(r) * pass.code.mu_stride;
      codes.add(row);
      zeros += zero_part(row, latent);
    }
    count += rows;
  });
  const auto n = static_cast<double>(count);
  const std::vector<std::pair<std::string_view, double>> means = moments.means();

  Evaluation e;
  e.count = count;
  const std::pair<const char*, double Evaluation::*> fields[] = {
      {"l1", &Evaluation::l1},
      {"class_loss", &Evaluation::class_loss},
      {"accuracy", &Evaluation::accuracy},
      {"gan_value", &Evaluation::gan_value},
      {"d_real", &Evaluation::d_real},
      {"d_generated", &Evaluation::d_generated}};
  const std::vector<Metric> metrics = metrics_of(means);
  for (size_t m = 0; m < metrics.size(); ++m) {
    for (const auto& [name, field] : fields)
      if (metrics[m].name == name) e.*field = metrics[m].value;
    for_each_estimate(e, [&](std::string_view name, Estimate& estimate, Measure) {
      if (metrics[m].name == name)
        estimate = {.value = metrics[m].value, .standard_error = moments.standard_error(m)};
    });
  }
  for (const auto& [name, value] : means) {
    if (name == "squared_error") e.squared_error = value;
    if (name == "input_squared_error") e.input_psnr = decibels(value / architecture.dim());
  }
  if (!std::isnan(e.squared_error)) e.psnr = decibels(e.squared_error / architecture.dim());
  if (importance.samples != 0) {
    e.nll = {.value = -likelihoods.mean(0), .standard_error = likelihoods.standard_error(0)};
    e.importance_samples = importance.samples;
  }
  if (!std::isnan(e.elbo.value)) {
    add_bits(e, model_);
    for (int32_t j = 0; j < latent; ++j)
      e.active_units += codes.variance(static_cast<size_t>(j)) > kActiveVariance ? 1 : 0;
  }
  if (model_.takes_grey_targets()) {
    if (std::isnan(entropy_)) entropy_ = mean_entropy(split_, architecture.dim(), split_.size());
    if (entropy_ > 0.0) e.cross_entropy_floor = entropy_;
  }
  if (architecture.encoder().bottleneck() == Bottleneck::deterministic &&
      settings.code_activation == math::Activation::of<math::Relu>())
    e.zero_codes = zeros / n;

  const auto part = [](double weight, double value) {
    return std::isnan(value) || weight == 0.0 ? 0.0 : weight * value;
  };
  const bool reconstructs =
      settings.reconstruction_weight > 0.0 && !std::isnan(e.reconstruction.value);
  if (reconstructs || !std::isnan(e.class_loss)) {
    const double evidence =
        std::isnan(e.iwae.value)
            ? part(settings.reconstruction_weight, e.reconstruction.value) - part(1.0, e.kl.value)
            : e.iwae.value;
    e.score =
        evidence - part(settings.code_l1, e.l1) - part(settings.classifier_weight, e.class_loss);
  }
  return e;
}

std::vector<float> Evaluator::encode(bool log_variances) {
  if (log_variances && !model_.architecture.encoder().gaussian())
    throw ConfigError("log-variances: a code with " +
                      said(model_.settings, model_.settings.bottleneck) +
                      " has none; expected bottleneck gaussian");
  const int32_t latent = model_.architecture.latent();
  const Pass& pass = this->pass(Purpose::encode);
  const PosteriorView& p = pass.code;
  std::vector<float> codes;
  codes.reserve(static_cast<size_t>(rows_->count()) * static_cast<size_t>(latent) *
                (log_variances ? 2 : 1));
  for_each_batch(rows_->count(), [&](uint32_t, int rows) {
    pass.executable->run();
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
  model_.require(Part::decoder);
  const Pass& pass = this->pass(Purpose::reconstruct);
  Reconstructions result;
  for_each_batch(std::min<int64_t>(rows, rows_->count()), [&](uint32_t, int batch) {
    pass.executable->run();
    const int64_t count = static_cast<int64_t>(batch) * model_.architecture.dim();
    const auto append = [&](std::vector<float>& to, const Value& from) {
      const auto values = download(model_, from.f32(), count);
      to.insert(to.end(), values.begin(), values.end());
    };
    append(result.inputs, pass.x);
    if (pass.input.data.data != pass.x.data.data) append(result.corrupted, pass.input);
    append(result.means, pass.output);
  });
  return result;
}

void Evaluator::decode_rows(const std::function<void(std::span<const float> outputs)>& use) {
  model_.require(Part::decoder);
  const Pass& pass = this->pass(Purpose::decode);
  for_each_batch(rows_->count(), [&](uint32_t, int rows) {
    pass.executable->run();
    use(download(model_, pass.output.f32(), static_cast<int64_t>(rows) * pass.output.columns));
  });
}

std::vector<float> Evaluator::classify() {
  model_.require(Part::classifier);
  const Pass& pass = this->pass(Purpose::classify);
  const auto classes = static_cast<size_t>(model_.data.classes);
  std::vector<float> probabilities;
  for_each_batch(rows_->count(), [&](uint32_t, int rows) {
    pass.executable->run();
    auto logits =
        download(model_, pass.output.f32(), static_cast<int64_t>(rows) * model_.data.classes);
    for (size_t first = 0; first < logits.size(); first += classes) {
      const std::span<float> row = std::span(logits).subspan(first, classes);
      const float largest = *std::ranges::max_element(row);
      double sum = 0.0;
      for (float& v : row) sum += v = std::exp(v - largest);
      for (float& v : row) v = static_cast<float>(v / sum);
    }
    probabilities.insert(probabilities.end(), logits.begin(), logits.end());
  });
  return probabilities;
}

}  // namespace elbo
