#include "bench/step_command.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "host/measure/median.hpp"
#include "host/measure/step_model.hpp"
#include "host/train/checkpoint.hpp"

namespace elbo::bench {
namespace {

Dataset open_data(const StepModel& model, const std::string& path) {
  return path.empty() ? random_rows(model, model.random_rows)
                      : Dataset::open(path, {.validation_fraction = 0.0, .check_values = false});
}

/// How steps are timed on a device.
struct Timing {
  int64_t block;        // steps per measurement
  int64_t least_steps;  // of a command
  bool warm_up;
};

Timing timing_on(DeviceKind device) {
  // As in peers/pytorch_cpu.py.
  if (device == DeviceKind::cpu) return {.block = 10, .least_steps = 80, .warm_up = false};
  // A GPU is started and waited for once in a block, which is to be a small part of it. The first
  // run tries ways of running, and is not timed.
  return {.block = 100, .least_steps = 100, .warm_up = true};
}

}  // namespace

void run_step_command(const StepCommand& command, const std::string& device_name, int threads) {
  const std::shared_ptr<Device> device = make_device(device_name, threads);
  const Timing timing = timing_on(device->kind());
  if (command.steps < timing.least_steps)
    throw ConfigError("steps: got " + std::to_string(command.steps) + ", want " +
                      std::to_string(timing.least_steps) + " or more");
  const StepModel& model = step_model(command.model);
  TrainingStep training(model, open_data(model, command.data),
                        {.batch = command.batch,
                         .seed = command.seed,
                         .precision = command.precision,
                         .iwae = command.iwae},
                        device);
  if (!command.initial_weights.empty()) {
    save_checkpoint(command.initial_weights, training.model, TrainingProgress{});
    return;
  }
  const auto block = static_cast<uint64_t>(timing.block);
  if (timing.warm_up) {
    training.pass.run(block);
    training.restart();
  }

  const int64_t blocks = command.steps / timing.block;
  std::vector<double> milliseconds;
  std::vector<double> losses;  // of the blocks that reach into the last quarter
  for (int64_t i = 0; i < blocks; ++i) {
    device->synchronize();
    const auto start = std::chrono::steady_clock::now();
    training.pass.run(block);
    device->synchronize();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    milliseconds.push_back(took.count() / static_cast<double>(timing.block));
    if (4 * (i + 1) <= 3 * blocks) continue;
    for (const StepRecord& record : training.pass.records(block))
      losses.push_back(command.iwae > 0 ? -record.terms[0]
                                        : record.terms[0] + record.beta * record.terms[1]);
  }
  const int64_t steps = blocks * timing.block;
  losses.erase(losses.begin(), losses.end() - steps / 4);
  const nlohmann::json result = {{"side", "elbo"},
                                 {"device", device->describe()},
                                 {"model", command.model},
                                 {"batch", command.batch},
                                 {"precision", name_of(training.model.precision())},
                                 {"iwae", command.iwae},
                                 {"steps", steps},
                                 {"seed", command.seed},
                                 {"step_ms", median(milliseconds)},
                                 {"final_loss", median(losses)}};
  std::cout << result << '\n';
}

}  // namespace elbo::bench
