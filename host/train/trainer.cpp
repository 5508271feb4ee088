#include "host/train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/model/fitting_parts.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Sums step records into the means of a report.
class MetricsWindow {
 public:
  explicit MetricsWindow(const std::vector<ReportedTerm>& terms) : terms_(terms) { clear(); }

  void add(const StepRecord& record) {
    const double rows = record.rows;
    rows_ += rows;
    for (size_t i = 0; i < terms_.size(); ++i) sums_[i] += rows * record.terms[i];
    last_ = record;
  }
  bool empty() const { return rows_ == 0.0; }
  void clear() {
    start_ = Clock::now();
    rows_ = 0.0;
    sums_.assign(terms_.size(), 0.0);
  }
  TrainingMetrics report(double training_seconds) const {
    TrainingMetrics m;
    m.step = last_.step;
    m.epoch = last_.epoch + 1;
    std::vector<std::pair<std::string_view, double>> means;
    for (size_t i = 0; i < terms_.size(); ++i) means.emplace_back(terms_[i].name, sums_[i] / rows_);
    m.values = metrics_of(means);
    m.learning_rate = last_.learning_rate;
    m.beta = last_.beta;
    m.seconds = training_seconds;
    m.samples_per_second = rows_ / std::max(1e-9, seconds_since(start_));
    return m;
  }

 private:
  const std::vector<ReportedTerm>& terms_;
  Clock::time_point start_;
  double rows_;
  std::vector<double> sums_;
  StepRecord last_;
};

ColumnStatistics viewed_statistics(const Model& model, const Split& train) {
  ColumnStatistics statistics = column_statistics(train, model.data.dim());
  if (model.view() == DataView::dequantized)
    for (size_t c = 0; c < statistics.mean.size(); ++c) {
      statistics.mean[c] = (255.0 * statistics.mean[c] + 0.5) / 256.0;
      statistics.variance[c] = (255.0 * 255.0 * statistics.variance[c] + 1.0 / 12.0) / 65536.0;
    }
  return statistics;
}

/// The rows on the device at a time, 0: all. Where the device's memory decides the order, the
/// settings remember it, so that a resumed training goes on in the same.
uint32_t choose_window(Model& model, const Split& train, const StepPlan& plan) {
  const int64_t asked = model.config.data_window;
  if (asked >= train.size()) return 0;
  if (asked > 0) return static_cast<uint32_t>(asked / plan.batch_rows * plan.batch_rows);
  const uint32_t window = fitting_window(*model.device, train, model.data.dim(), plan.batch_rows);
  if (window < train.size()) model.config.data_window = window;
  return window;
}

}  // namespace

Trainer::Trainer(Config config, Dataset dataset, std::shared_ptr<Device> device)
    : dataset_((validate(config), require_fitting_data(config, dataset), std::move(dataset))),
      model_(config, signature_of(config, dataset_), std::move(device), Model::Purpose::training) {
  const Split& train = dataset_.split("train");
  const Config& settings = model_.config;
  const auto seed = static_cast<uint64_t>(settings.seed);
  std::optional<ColumnStatistics> statistics;
  if (settings.output_init == "data") statistics = viewed_statistics(model_, train);
  model_.set_weights(
      model_.architecture.initial_weights(seed, statistics ? &*statistics : nullptr));
  if (settings.second_moment_start > 0.0)
    model_.arena.second_moments.upload(std::vector<float>(
        model_.arena.second_moments.size(), static_cast<float>(settings.second_moment_start)));
  const bool curand = settings.noise == "curand";
  const StepPlan plan = step_plan(settings, train.size());
  pass_ = std::make_unique<TrainingPass>(
      model_, train,
      TrainingPass::Options{
          .plan = plan, .window = choose_window(model_, train, plan), .external_epsilon = curand});
  if (curand) curand_ = std::make_unique<CurandGenerator>(model_.device, seed);
  if (dataset_.has("validation"))
    validation_ = std::make_unique<Evaluator>(model_, dataset_.split("validation"));
  total_steps_ = elbo::total_steps(settings, train.size());
}

Evaluation Trainer::evaluate(std::string_view split) const {
  return Evaluator(model_, dataset_.split(split)).evaluate();
}

void Trainer::restore(const std::filesystem::path& checkpoint) {
  progress_ = restore_training(checkpoint, model_);
  pass_->seek(progress_.step);
  // Each step takes a whole buffer from the stream, however short its batch.
  if (curand_) curand_->seek(progress_.step * pass_->epsilon().size());
}

uint64_t Trainer::steps_per_report() const {
  constexpr uint64_t kMostReports = 100;
  const uint64_t per_epoch = pass_->plan().steps_per_epoch();
  auto epochs = static_cast<uint64_t>(model_.config.report_epochs);
  if (epochs == 0) epochs = (total_steps_ / per_epoch + kMostReports - 1) / kMostReports;
  return std::max<uint64_t>(1, epochs) * per_epoch;
}

void Trainer::run_steps(uint64_t steps) {
  if (curand_) {
    for (uint64_t i = 0; i < steps; ++i) {
      curand_->normals(pass_->epsilon().data(), pass_->epsilon().size());
      pass_->run(1);
    }
  } else {
    pass_->run(steps);
  }
  progress_.step = pass_->step();
}

void Trainer::check(const StepRecord& record) const {
  if (std::ranges::all_of(record.terms, [](float v) { return std::isfinite(v); })) return;
  std::vector<std::pair<std::string_view, double>> terms;
  for (size_t i = 0; i < pass_->terms().size(); ++i)
    terms.emplace_back(pass_->terms()[i].name, record.terms[i]);
  std::string values;
  for (const Metric& metric : metrics_of(terms))
    if (metric.name != "elbo")
      values += (values.empty() ? "" : ", ") + metric.name + " " + std::to_string(metric.value);
  throw DivergenceError("training diverged at step " + std::to_string(record.step) + ": " + values +
                        "; a smaller --learning-rate or --clip-norm helps");
}

void Trainer::train(TrainingObserver* observer) {
  TrainingObserver silent;
  TrainingObserver& hear = observer == nullptr ? silent : *observer;
  constexpr double kProgressSeconds = 0.1;
  constexpr uint64_t kMostStepsAtOnce = 512;
  const auto interval = static_cast<uint64_t>(model_.config.metrics_interval);
  const uint64_t per_report = steps_per_report();
  const auto start = Clock::now();
  MetricsWindow progress(pass_->terms()), metrics(pass_->terms()), report(pass_->terms());
  uint64_t chunk = 1;  // grows until running it takes as long as a look at the progress bar
  // The device works on the next chunk while the host reads what the last one reported.
  TrainingPass::PendingRecords pending;
  const auto read_pending = [&] {
    if (pending.empty()) return;
    for (const StepRecord& record : pending.wait()) {
      check(record);
      for (MetricsWindow* window : {&progress, &metrics, &report}) window->add(record);
    }
    pending = {};
  };

  while (progress_.step < total_steps_ && !stopped_early_) {
    const uint64_t step = progress_.step;
    const uint64_t report_end = std::min((step / per_report + 1) * per_report, total_steps_);
    const uint64_t metrics_end = (step / interval + 1) * interval;
    const uint64_t count = std::min({chunk, metrics_end - step, report_end - step});
    const auto chunk_start = Clock::now();
    run_steps(count);
    TrainingPass::PendingRecords records = pass_->start_records(count);
    read_pending();
    pending = std::move(records);
    const bool ends_report = progress_.step == report_end;
    const bool ends_metrics = ends_report || progress_.step == metrics_end;
    if (ends_metrics) read_pending();
    if (!progress.empty()) {
      hear.on_progress(progress.report(seconds_since(start)), total_steps_);
      progress.clear();
    }
    const double took = seconds_since(chunk_start);
    if (count == chunk && took < kProgressSeconds / 2)
      chunk = std::min(2 * chunk, kMostStepsAtOnce);
    if (took > 2 * kProgressSeconds) chunk = std::max<uint64_t>(1, chunk / 2);

    const double seconds = seconds_since(start);
    if (ends_metrics) {
      hear.on_metrics(metrics.report(seconds));
      metrics.clear();
    }
    if (ends_report) {
      hear.on_report(end_report(report.report(seconds)), *this);
      for (MetricsWindow* window : {&report, &metrics, &progress}) window->clear();
    }
  }
}

double TrainingMetrics::operator[](std::string_view name) const {
  for (const Metric& metric : values)
    if (metric.name == name) return metric.value;
  return std::numeric_limits<double>::quiet_NaN();
}

TrainingReport Trainer::end_report(const TrainingMetrics& metrics) {
  TrainingReport report;
  report.training = metrics;
  progress_.epoch = metrics.epoch;
  if (validation_) {
    report.validation = validation_->evaluate();
    // Without a score there is no choosing: the last is the best there is.
    const double score = report.validation->score;
    report.best = std::isnan(score) || score > progress_.best_score;
    if (report.best) {
      if (!std::isnan(score)) progress_.best_score = score;
      progress_.best_epoch = progress_.epoch;
    }
    const auto patience = static_cast<uint64_t>(model_.config.early_stopping);
    stopped_early_ = patience > 0 && progress_.epoch - progress_.best_epoch >= patience;
  }
  return report;
}

}  // namespace elbo
