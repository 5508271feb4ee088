#include "bench/step_command.hpp"

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "bench/machine.hpp"
#include "host/measure/median.hpp"
#include "host/measure/step_model.hpp"
#include "host/train/checkpoint.hpp"

namespace elbo::bench {
namespace {

Dataset open_data(const StepModel& model, const std::string& path) {
  return path.empty() ? random_rows(model, model.random_rows)
                      : Dataset::open(path, {.validation_fraction = 0.0, .check_values = false});
}

/// Parameters of the measurement on a device
struct Timing {
  int64_t block;        // steps per measurement
  int64_t least_steps;  // minimum of --steps
  bool warm_up;
};

Timing timing_on(DeviceKind device) {
  // The same numbers as in peers/pytorch_cpu.py.
  if (device == DeviceKind::cpu) return {.block = 10, .least_steps = 80, .warm_up = false};
  // Starting a GPU and waiting for it happens once per block and should be a small fraction of the
  // block's time. The first run autotunes, so it is not timed.
  return {.block = 100, .least_steps = 100, .warm_up = true};
}

/// Training and measurement of `elbo_bench step`
class StepBench {
 public:
  StepBench(const StepCommand& command, const std::string& device_name, int threads)
      : command_(command),
        device_(make_device(device_name, threads)),
        timing_(timing_on(device_->kind())),
        model_(step_model(command.model)),
        seed_(command.seed) {
    if (command.steps < timing_.least_steps)
      throw ConfigError("steps: got " + std::to_string(command.steps) + ", expected " +
                        std::to_string(timing_.least_steps) + " or more");
    training_.emplace(model_, open_data(model_, command.data),
                      StepOptions{.batch = command.batch,
                                  .seed = command.seed,
                                  .precision = precision_named(command.precision),
                                  .iwae = command.iwae},
                      device_);
    if (!command.initial_weights.empty())
      save_checkpoint(command.initial_weights, training_->config, training_->model,
                      TrainingProgress{});
  }

  void prepare() {
    if (!timing_.warm_up) return;
    training_->pass.run(block());
    training_->restart();
    device_->synchronize();
  }

  nlohmann::json run(int64_t seed) {
    if (seed != seed_) {
      training_->restart(seed);
      seed_ = seed;
      prepare();
    } else {
      training_->restart();
    }
    const int64_t blocks = command_.steps / timing_.block;
    std::vector<double> milliseconds;
    std::vector<double> losses;  // of the blocks that overlap the last quarter
    for (int64_t i = 0; i < blocks; ++i) {
      milliseconds.push_back(time_block());
      if (4 * (i + 1) <= 3 * blocks) continue;
      for (const StepRecord& record : training_->pass.records(block()))
        losses.push_back(command_.iwae > 0 ? -record.terms[0]
                                           : record.terms[0] + record.beta * record.terms[1]);
    }
    const int64_t steps = blocks * timing_.block;
    losses.erase(losses.begin(), losses.end() - steps / 4);
    return {{"side", "elbo"},
            {"device", device_->describe()},
            {"model", command_.model},
            {"batch", command_.batch},
            {"precision", name_of(training_->model.precision())},
            {"iwae", command_.iwae},
            {"steps", steps},
            {"seed", seed},
            {"step_ms", median(milliseconds)},
            {"final_loss", median(losses)},
            {"libraries", device_->kind() == DeviceKind::cuda ? gpu_product_library() : ""},
            {"notes", training_->pass.notes()}};
  }

 private:
  uint64_t block() const { return static_cast<uint64_t>(timing_.block); }

  double time_block() {
    device_->synchronize();
    const auto start = std::chrono::steady_clock::now();
    training_->pass.run(block());
    device_->synchronize();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    return took.count() / static_cast<double>(timing_.block);
  }

  StepCommand command_;
  std::shared_ptr<Device> device_;
  Timing timing_;
  const StepModel& model_;
  int64_t seed_;
  std::optional<TrainingStep> training_;
};

nlohmann::json timed_preparation(StepBench& bench) {
  const auto start = std::chrono::steady_clock::now();
  bench.prepare();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return {{"prepared_s", took.count()}};
}

/// Answers the commands "prepare" and "run SEED" until standard input ends.
void serve(StepBench& bench) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    int64_t seed = 0;
    words >> command;
    if (command == "prepare")
      std::cout << timed_preparation(bench) << std::endl;
    else if (command == "run" && words >> seed)
      std::cout << bench.run(seed) << std::endl;
    else
      throw ConfigError("command: got '" + line + "', expected 'prepare' or 'run SEED'");
  }
}

}  // namespace

void run_step_command(const StepCommand& command, const std::string& device_name, int threads) {
  StepBench bench(command, device_name, threads);
  if (command.serve) return serve(bench);
  if (!command.initial_weights.empty()) return;
  bench.prepare();
  std::cout << bench.run(command.seed) << '\n';
}

}  // namespace elbo::bench
