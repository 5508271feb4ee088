#include "host/train/training_pass.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace elbo {

TrainingPass::TrainingPass(Model& model, const Split& split, const Options& options)
    : options_(options),
      device_(model.device),
      rows_(make_device_rows(model.device, split, model.data.dim(),
                             {.batch_rows = options.plan.batch_rows,
                              .window = options.window,
                              .seed = static_cast<uint64_t>(model.config.seed),
                              .shuffle = options.shuffle})),
      state_(model.device, 1, "the training's state"),
      ring_(model.device, static_cast<size_t>(options.ring_size), "the steps' records"),
      scratch_(model.device, 1, "the training's state"),
      row_ids_(model.device, static_cast<size_t>(options.plan.batch_rows),
               "a batch's row numbers") {
  const auto codes = static_cast<size_t>(options.plan.batch_rows) *
                     static_cast<size_t>(model.vae.samples() * model.vae.latent());
  // Even, because cuRAND makes normals in pairs.
  if (options.external_epsilon) epsilon_ = {model.device, codes + codes % 2, "epsilon"};
  record(model);
  executable_ = model.device->prepare(program_);
  seek(0);
}

void TrainingPass::record(Model& model) {
  const Vae& vae = model.vae;
  const Config& config = model.config;
  const Rows inputs = {state_.data(), options_.plan.batch_rows, 1};
  const int64_t arena_size = vae.layout().size();
  Recorder recorder(model.device, model.arena, model.precision());

  const Value x = recorder.tensor(inputs, vae.dim());
  Value factor = x;  // x as the first layer takes it
  GatherBatch gather = rows_->gather();
  gather.view = model.view();
  gather.batch = inputs;
  gather.x = x.f32();
  if (recorder.factor_format() == Format::bf16) {
    factor = recorder.tensor(inputs, vae.dim(), Format::bf16);
    gather.x_bf16 = factor.data.as<math::Bfloat16>();
  }
  gather.row_ids = row_ids_.data();
  recorder.add(gather);

  const EpsilonSource epsilon = {gather.seed, row_ids_.data(), epsilon_.data()};
  const Vae::Encoding encoding = vae.encode(recorder, factor);
  const Vae::Code code = vae.sample(recorder, encoding, epsilon, vae.samples());
  const Vae::Decoding decoding = vae.decode(recorder, code.z);
  const Vae::Loss loss = vae.loss(recorder, x, decoding, true);
  vae.backward(recorder, encoding, code, epsilon, decoding, loss);

  const auto clip_norm = static_cast<float>(config.clip_norm);
  if (clip_norm > 0.0f) {
    squared_norm_ = {model.device, static_cast<size_t>(arena_chunks(arena_size)),
                     "the gradient's norm"};
    recorder.add(SquaredNorm{
        .count = arena_size, .x = model.arena.gradients.data(), .partial = squared_norm_.data()});
  }
  recorder.add(
      OptimizerUpdate{.optimizer = {math::Optimizers::find(config.optimizer)},
                      .settings = {.momentum = static_cast<float>(config.momentum),
                                   .beta1 = static_cast<float>(config.beta1),
                                   .beta2 = static_cast<float>(config.beta2),
                                   .epsilon = static_cast<float>(config.epsilon),
                                   .weight_decay = static_cast<float>(config.weight_decay)},
                      .state = state_.data(),
                      .count = arena_size,
                      .weight = model.arena.weights.data(),
                      .grad = model.arena.gradients.data(),
                      .first_moment = model.arena.first_moments.data(),
                      .second_moment = model.arena.second_moments.data(),
                      .clip_norm = clip_norm,
                      .squared_norm = squared_norm_.data(),
                      .weight_bf16 = model.arena.weights_bf16.data(),
                      .end = {.plan = options_.plan,
                              .inputs = inputs,
                              .samples = vae.samples(),
                              .nll = loss.nll,
                              .kl = code.kl,
                              .ring = ring_.data(),
                              .ring_size = options_.ring_size,
                              .scratch = scratch_.data()}});
  program_ = recorder.program();
  buffers_ = recorder.take_buffers();
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
    notes.push_back("data: " + std::to_string(options_.window) +
                    " rows on the device at a time, shuffled among themselves");
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
                        .floor = config.learning_rate_floor,
                        .decay = {math::Decays::find(config.learning_rate_schedule)}};
  plan.beta = {.base = config.beta, .warmup_steps = steps(config.kl_warmup_epochs)};
  // As the update rule has them: a correction for 0.999 does not fit a decay of float(0.999).
  plan.beta1 = static_cast<float>(config.beta1);
  plan.beta2 = static_cast<float>(config.beta2);
  return plan;
}

uint64_t total_steps(const Config& config, int64_t rows) {
  if (config.steps > 0) return static_cast<uint64_t>(config.steps);
  const int64_t batch = std::min(config.batch_size, rows);
  return static_cast<uint64_t>(config.epochs) * static_cast<uint64_t>((rows + batch - 1) / batch);
}

}  // namespace elbo
