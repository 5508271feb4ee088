#include "host/train/trainer.hpp"

#include <algorithm>
#include <cmath>

#include "host/io/file_error.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ColumnStatistics viewed_statistics(const Model& model, const Split& train) {
  ColumnStatistics statistics = column_statistics(train, model.data.dim());
  if (model.view() == DataView::dequantized)
    for (size_t c = 0; c < statistics.mean.size(); ++c) {
      statistics.mean[c] = (255.0 * statistics.mean[c] + 0.5) / 256.0;
      statistics.variance[c] = (255.0 * 255.0 * statistics.variance[c] + 1.0 / 12.0) / 65536.0;
    }
  return statistics;
}

/// Returns the number of rows on the device at a time, 0 for all. If the memory of the device
/// determines the window, and with it the order of rows, the window is stored in the settings so
/// that a resumed training keeps the order.
uint32_t choose_window(Config& config, const Model& model, const Split& train,
                       const StepPlan& plan) {
  const int64_t asked = config.data_window;
  if (asked >= train.size()) return 0;
  if (asked > 0) return static_cast<uint32_t>(asked / plan.batch_rows * plan.batch_rows);
  const uint32_t window = fitting_window(*model.device, train, model.data.dim(), plan.batch_rows);
  if (window < train.size()) config.data_window = window;
  return window;
}

}  // namespace

Trainer::Trainer(Config config, Dataset dataset, std::shared_ptr<Device> device)
    : config_((config.Config::check(), std::move(config))),
      dataset_((config_.ModelSettings::check(dataset), std::move(dataset))),
      model_(config_, signature_of(config_, dataset_), std::move(device),
             Model::Purpose::training) {
  const Split& train = dataset_.split("train");
  const auto seed = static_cast<uint64_t>(config_.seed);
  std::optional<ColumnStatistics> statistics;
  if (config_.output_init == OutputInit::data) statistics = viewed_statistics(model_, train);
  model_.set_weights(
      model_.architecture.initial_weights(seed, statistics ? &*statistics : nullptr));
  if (config_.adam_second_moment_init > 0.0)
    model_.arena.second_moments.upload(std::vector<float>(
        model_.arena.second_moments.size(), static_cast<float>(config_.adam_second_moment_init)));
  if (config_.noise_source == NoiseSource::curand)
    curand_ = std::make_unique<CurandGenerator>(model_.device, seed);
  make_pass();
  if (dataset_.has("validation"))
    validation_ = std::make_unique<Evaluator>(model_, dataset_.split("validation"));
  progress_.train_rows = static_cast<uint64_t>(train.size());
  total_steps_ = elbo::total_steps(config_, train.size());
}

/// Records the steps, with the learning rate reduced by the rollbacks so far.
void Trainer::make_pass(bool keep_gradients) {
  const Split& train = dataset_.split("train");
  StepPlan plan = step_plan(config_, train.size());
  plan.learning_rate.base =
      std::ldexp(plan.learning_rate.base, -static_cast<int>(progress_.rollbacks));
  pass_.reset();  // frees its memory first
  if (!window_) window_ = choose_window(config_, model_, train, plan);
  pass_ =
      std::make_unique<TrainingPass>(model_, train,
                                     TrainingPass::Options{.plan = plan,
                                                           .optimizer = config_,
                                                           .window = *window_,
                                                           .external_epsilon = curand_ != nullptr,
                                                           .keep_gradients = keep_gradients});
}

Evaluation Trainer::evaluate(std::string_view split) const {
  return Evaluator(model_, dataset_.split(split)).evaluate();
}

void Trainer::restore(const std::filesystem::path& checkpoint) {
  TrainingState state = read_training_state(checkpoint, model_);
  uint64_t& rows = state.progress.train_rows;
  if (rows == 0) rows = progress_.train_rows;  // older checkpoints lack the number
  if (rows != progress_.train_rows)
    fail_file(
        checkpoint,
        formatted("made from {} rows to train on, the data set has {}: the order of steps would "
                  "be another",
                  rows, progress_.train_rows));
  state_ = std::move(state);
  go_to_state();
  stopped_early_ = patience_ended();
}

void Trainer::go_to_state(bool keep_gradients) {
  const bool same_pass = progress_.rollbacks == state_.progress.rollbacks &&
                         pass_->keeps_gradients() == keep_gradients;
  progress_ = state_.progress;
  if (!same_pass) make_pass(keep_gradients);
  apply_state(model_, state_);
  pass_->seek(progress_.step);
  // Each step consumes a whole buffer of the random stream, even if its batch is short.
  if (curand_) curand_->seek(progress_.step * pass_->epsilon().size());
}

/// Saves the current state as the last good one. Throws NotFinite if it has non-finite values.
void Trainer::capture() {
  TrainingState state = capture_state(model_, progress_);
  if (!state.finite()) throw NotFinite{pass_->records(1).front(), "weights or moments"};
  state_ = std::move(state);
  last_capture_ = Clock::now();
}

uint64_t Trainer::steps_per_report() const {
  constexpr uint64_t kMostReports = 100;
  const uint64_t per_epoch = pass_->plan().steps_per_epoch();
  auto epochs = static_cast<uint64_t>(config_.report_epochs);
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

TrainingEnd Trainer::train(TrainingObserver* observer) {
  TrainingObserver silent;
  TrainingObserver& hear = observer == nullptr ? silent : *observer;
  start_ = last_capture_ = Clock::now();
  state_ = capture_state(model_, progress_);
  while (true) {
    try {
      return run(hear);
    } catch (const NotFinite& noticed) {
      recover(find_divergence(noticed), hear);
    }
  }
}

TrainingEnd Trainer::run(TrainingObserver& hear) {
  constexpr double kProgressSeconds = 0.1;
  constexpr uint64_t kMostStepsAtOnce = 512;
  constexpr double kMinute = 60.0;
  const uint64_t interval = metrics_interval(config_, total_steps_);
  const uint64_t per_report = steps_per_report();
  const auto elapsed = [](Clock::time_point since, double minutes) {
    return minutes > 0.0 && seconds_since(since) >= kMinute * minutes;
  };
  MetricsWindow progress(pass_->terms());
  MetricsWindow metrics(pass_->terms(), progress_.since_metrics);
  MetricsWindow report(pass_->terms(), progress_.since_report);
  uint64_t chunk = 1;  // grows until a chunk takes about as long as the interval of on_progress
  // The device runs the next chunk while the host reads the records of the previous one. A chunk
  // ends at each line of metrics, which is written once the records of the chunk are read.
  TrainingPass::PendingRecords pending;
  bool pending_ends_metrics = false;
  const auto read_pending = [&] {
    if (pending.empty()) return;
    for (const StepRecord& record : pending.wait()) {
      if (!is_finite(record)) throw NotFinite{record, "loss"};
      for (MetricsWindow* window : {&progress, &metrics, &report}) window->add(record);
    }
    pending = {};
    if (!pending_ends_metrics) return;
    hear.on_metrics(metrics.report(seconds_since(start_)));
    metrics.clear();
  };
  auto last_progress = Clock::now();

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
    pending_ends_metrics = ends_report || progress_.step == metrics_end;
    const bool asked = hear.wants_stop(), late = elapsed(start_, config_.max_minutes);
    const bool keeps =
        !ends_report && (asked || late || elapsed(last_capture_, config_.checkpoint_minutes));
    if (ends_report || keeps) read_pending();
    if (!progress.empty() &&
        (ends_report || keeps || seconds_since(last_progress) >= kProgressSeconds)) {
      hear.on_progress(progress.report(seconds_since(start_)), total_steps_);
      progress.clear();
      last_progress = Clock::now();
    }
    const double took = seconds_since(chunk_start);
    if (count == chunk && took < kProgressSeconds / 2)
      chunk = std::min(2 * chunk, kMostStepsAtOnce);
    if (took > 2 * kProgressSeconds) chunk = std::max<uint64_t>(1, chunk / 2);

    if (ends_report) {
      progress_.since_metrics = progress_.since_report = {};
      capture();  // before evaluating, which is pointless with non-finite weights
      const TrainingReport ended = end_report(report.report(seconds_since(start_)));
      state_.progress = progress_;
      hear.on_report(ended, *this);
      for (MetricsWindow* window : {&report, &metrics, &progress}) window->clear();
    } else if (keeps) {
      progress_.since_metrics = metrics.sums();
      progress_.since_report = report.sums();
      capture();
      hear.on_checkpoint(*this);
    }
    if (progress_.step == total_steps_ || stopped_early_) break;
    if (asked) return TrainingEnd::interrupted;
    if (late) return TrainingEnd::out_of_time;
  }
  return stopped_early_ ? TrainingEnd::stopped_early : TrainingEnd::completed;
}

/// Replays the steps since the last good state (they are deterministic) to inspect the one that
/// diverged. Leaves the trainer in the last good state.
Divergence Trainer::find_divergence(const NotFinite& noticed) {
  constexpr uint64_t kLookedAt = 16, kMostStepsAtOnce = 512;  // steps
  Divergence found;
  found.step = reported(noticed.record, pass_->terms());
  found.what = noticed.what;
  found.good_step = state_.progress.step;
  const uint64_t last = noticed.record.step;
  constexpr bool kKeepGradients = true;
  go_to_state(kKeepGradients);
  while (progress_.step + kLookedAt < last)
    run_steps(std::min(kMostStepsAtOnce, last - kLookedAt - progress_.step));
  while (progress_.step < last) {
    const std::vector<float> weights = model_.arena.weights.download();
    run_steps(1);
    const StepRecord record = pass_->records(1).front();
    const TrainingState after = capture_state(model_, progress_);
    const std::string what = !is_finite(record)                               ? "loss"
                             : !all_finite(model_.arena.gradients.download()) ? "gradients"
                             : !all_finite(after.weights)                     ? "weights"
                             : !after.finite()                                ? "moments"
                                                                              : "";
    if (what.empty()) {
      found.before.push_back(reported(record, pass_->terms()));
      continue;
    }
    found.repeated = true;
    found.step = reported(record, pass_->terms());
    found.what = what;
    examine(found, model_, dataset_.split("train"), *pass_, record.rows, weights);
    break;
  }
  go_to_state();
  return found;
}

void Trainer::recover(Divergence divergence, TrainingObserver& observer) {
  const bool goes_on =
      config_.on_divergence == OnDivergence::rollback && state_.progress.rollbacks < kMostRollbacks;
  if (goes_on) divergence.learning_rate_factor = 0.5;
  observer.on_divergence(divergence);
  if (!goes_on)
    throw DivergenceError(describe(divergence) +
                          "; a smaller --learning-rate or --clip-norm helps");
  ++state_.progress.rollbacks;
  go_to_state();
}

TrainingReport Trainer::end_report(const TrainingMetrics& metrics) {
  TrainingReport report;
  report.training = metrics;
  progress_.epoch = metrics.epoch;
  if (validation_) {
    report.validation = validation_->evaluate();
    // Without a score there is nothing to compare: the last state counts as the best.
    const double score = report.validation->score;
    report.best = std::isnan(score) || score > progress_.best_score;
    if (report.best) {
      if (!std::isnan(score)) progress_.best_score = score;
      progress_.best_epoch = progress_.epoch;
    }
    stopped_early_ = patience_ended();
  }
  return report;
}

bool Trainer::patience_ended() const {
  const auto patience = static_cast<uint64_t>(config_.early_stopping);
  return validation_ && patience > 0 && progress_.epoch - progress_.best_epoch >= patience;
}

}  // namespace elbo
