#include "host/train/training_pass.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "host/io/formatted.hpp"

namespace elbo {

TrainingPass::TrainingPass(Model& model, const Split& split, const Options& options)
    : options_(options),
      device_(model.device),
      rows_(make_device_rows(model.device, split, model.data.dim(),
                             {.batch_rows = options.plan.batch_rows,
                              .window = options.window,
                              .seed = static_cast<uint64_t>(model.settings.seed),
                              .shuffle = options.shuffle})),
      state_(model.device, 1, "the training's state"),
      ring_(model.device, static_cast<size_t>(options.ring_size), "the steps' records"),
      scratch_(model.device, 1, "the training's state"),
      row_ids_(model.device, static_cast<size_t>(options.plan.batch_rows),
               "a batch's row numbers") {
  const auto codes =
      static_cast<size_t>(options.plan.batch_rows) *
      static_cast<size_t>(model.architecture.samples() * model.architecture.latent());
  if (model.architecture.has(Part::classifier))
    labels_ = upload_labels(device_, split, model.data.classes);
  // An even number, because cuRAND generates normals in pairs.
  if (options.external_epsilon) epsilon_ = {model.device, codes + codes % 2, "epsilon"};
  record(model);
  executable_ = model.device->prepare(program_);
  seek(0);
}

void TrainingPass::record(Model& model) {
  const Architecture& architecture = model.architecture;
  const Rows inputs = {state_.data(), options_.plan.batch_rows, 1};
  Recorder recorder(model.device, model.arena, model.precision());

  GatherBatch gather = rows_->gather();
  const Value x = recorder.tensor(inputs, architecture.dim());
  const Value input = model.view_batch(gather, recorder, x, Model::Inputs::augmented);
  gather.batch = inputs;
  gather.row_ids = row_ids_.data();
  recorder.add(gather);

  BatchPass batch(architecture, model.settings, recorder,
                  {.x = x,
                   .input = input,
                   .epsilon = {gather.seed, row_ids_.data(), epsilon_.data()},
                   .labels = {labels_.data(), labels_.size()},
                   .samples = architecture.samples()});
  const std::vector<Phase> phases = phases_of(model.settings);
  for (const Phase& phase : phases) {
    const ParameterRange range = batch.add(phase);
    StepEnd end;
    if (&phase == &phases.back()) {
      end = {.plan = options_.plan,
             .inputs = inputs,
             .ring = ring_.data(),
             .ring_size = options_.ring_size,
             .scratch = scratch_.data()};
      terms_ = batch.terms();
      ELBO_ASSERT(terms_.size() <= kMostStepTerms);
      for (size_t i = 0; i < terms_.size(); ++i) end.terms[i] = terms_[i].term;
    }
    add_update(recorder, model, range, phase.rate, end);
  }
  program_ = recorder.program();
  buffers_ = recorder.take_buffers();
}

void TrainingPass::add_update(Recorder& recorder, Model& model, ParameterRange range, double rate,
                              const StepEnd& end) {
  const UpdateSettings& settings = options_.optimizer;
  const Arena& arena = model.arena;  // const, but the contents of its buffers change
  const auto clip_norm = static_cast<float>(settings.clip_norm);
  float* squared_norm = nullptr;
  if (clip_norm > 0.0f) {
    squared_norm = recorder.floats(arena_chunks(range.size()));
    recorder.add(SquaredNorm{
        .count = range.size(), .x = arena.gradients.data() + range.begin, .partial = squared_norm});
  }
  recorder.add(OptimizerUpdate{
      .optimizer = settings.optimizer,
      .settings = {.momentum = static_cast<float>(settings.momentum),
                   .beta1 = static_cast<float>(settings.beta1),
                   .beta2 = static_cast<float>(settings.beta2),
                   .epsilon = static_cast<float>(settings.epsilon),
                   .weight_decay = static_cast<float>(settings.weight_decay)},
      .rate = static_cast<float>(rate),
      .summed = settings.loss_reduction == LossReduction::sum,
      .state = state_.data(),
      .count = range.size(),
      .weight = arena.weights.data() + range.begin,
      .grad = arena.gradients.data() + range.begin,
      .first_moment = arena.first_moments.data() + range.begin,
      .second_moment = arena.second_moments.data() + range.begin,
      .clip_norm = clip_norm,
      .only_reader = !options_.keep_gradients && clip_norm == 0.0f,
      .squared_norm = squared_norm,
      .weight_bf16 = arena.weights_bf16.empty() ? nullptr : arena.weights_bf16.data() + range.begin,
      .end = end});
}

void TrainingPass::seek(uint64_t step) {
  step_ = step;
  const StepState state = options_.plan.at(step);
  state_.upload({&state, 1});
}

void TrainingPass::run(uint64_t steps) {
  ELBO_ASSERT(steps <= static_cast<uint64_t>(options_.ring_size));
  while (steps > 0) {
    const uint64_t ready = std::min(steps, rows_->make_ready(step_));
    executable_->run(ready);
    step_ += ready;
    steps -= ready;
  }
}

TrainingPass::PendingRecords TrainingPass::start_records(uint64_t steps) const {
  PendingRecords pending;
  pending.ring_size_ = static_cast<uint64_t>(options_.ring_size);
  ELBO_ASSERT(steps <= pending.ring_size_ && steps <= step_);
  pending.end_ = step_;
  pending.count_ = steps;
  pending.ring_ = device_->start_download(ring_.data(), ring_.size() * sizeof(StepRecord));
  return pending;
}

std::vector<StepRecord> TrainingPass::PendingRecords::wait() const {
  const std::byte* ring = ring_->wait();
  std::vector<StepRecord> records(count_);
  for (uint64_t i = 0; i < count_; ++i)
    std::memcpy(&records[i], ring + (end_ - count_ + i) % ring_size_ * sizeof(StepRecord),
                sizeof(StepRecord));
  return records;
}

std::vector<std::string> TrainingPass::notes() const {
  std::vector<std::string> notes = executable_->notes();
  if (options_.window > 0)
    notes.push_back(formatted("data: {} rows on the device at a time, shuffled among themselves",
                              options_.window));
  return notes;
}

StepPlan step_plan(const Config& config, int64_t rows) {
  StepPlan plan;
  plan.row_count = static_cast<uint32_t>(rows);
  plan.batch_rows = static_cast<int32_t>(std::min(config.batch_size, rows));
  const auto per_epoch = static_cast<double>(plan.steps_per_epoch());
  const auto steps = [&](double epochs) {
    return static_cast<uint64_t>(std::llround(epochs * per_epoch));
  };
  plan.learning_rate = {.base = config.learning_rate,
                        .warmup_steps = steps(config.learning_rate_warmup_epochs),
                        .total_steps = total_steps(config, rows),
                        .floor = config.learning_rate_final_ratio,
                        .decay = config.learning_rate_schedule};
  for (const double epochs : config.learning_rate_milestones)
    plan.learning_rate.milestones.steps[plan.learning_rate.milestones.count++] = steps(epochs);
  plan.learning_rate.gamma = config.learning_rate_gamma;
  plan.beta = {.base = config.beta,
               .warmup_steps =
                   steps(config.kl_warmup_epochs) + static_cast<uint64_t>(config.kl_warmup_steps)};
  if (const auto cycles = static_cast<uint64_t>(config.kl_cycles); cycles > 0) {
    plan.beta.cycle_steps = (total_steps(config, rows) + cycles - 1) / cycles;
    plan.beta.warmup_steps = static_cast<uint64_t>(
        std::llround(config.kl_cycle_ratio * static_cast<double>(plan.beta.cycle_steps)));
  }
  plan.capacity = {.base = config.kl_capacity, .warmup_steps = steps(config.kl_capacity_epochs)};
  // The same rounding as in the update rule: a correction for 0.999 does not match a decay of
  // float(0.999).
  plan.beta1 = static_cast<float>(config.beta1);
  plan.beta2 = static_cast<float>(config.beta2);
  return plan;
}

uint64_t total_steps(const Config& config, int64_t rows) {
  if (config.steps > 0) return static_cast<uint64_t>(config.steps);
  const int64_t batch = std::min(config.batch_size, rows);
  return static_cast<uint64_t>(config.epochs) * static_cast<uint64_t>((rows + batch - 1) / batch);
}

uint64_t metrics_interval(const Config& config, uint64_t total_steps) {
  constexpr uint64_t kMostLines = 10'000, kShortest = 100;
  if (config.metrics_interval > 0) return static_cast<uint64_t>(config.metrics_interval);
  return std::max(kShortest, (total_steps + kMostLines - 1) / kMostLines);
}

}  // namespace elbo
