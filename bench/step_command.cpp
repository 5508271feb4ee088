#include "bench/step_command.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/step_model.hpp"
#include "host/train/checkpoint.hpp"

namespace elbo::bench {
namespace {

/// Steps per measurement, as in peers/pytorch_cpu.py.
constexpr int64_t kBlock = 10;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Dataset open_data(const std::string& path) {
  return path.empty() ? random_images(60000)
                      : Dataset::open(path, {.validation_fraction = 0.0, .check_values = false});
}

}  // namespace

void run_step_command(const StepOptions& options, int threads) {
  if (options.steps < 8 * kBlock)
    throw ConfigError("steps: got " + std::to_string(options.steps) + ", want " +
                      std::to_string(8 * kBlock) + " or more");
  const std::shared_ptr<Device> device = make_cpu_device(threads);
  TrainingStep training(step_model(options.model), open_data(options.data), options.batch,
                        options.seed, device);
  if (!options.initial_weights.empty()) {
    save_checkpoint(options.initial_weights, training.model, {});
    return;
  }

  const int64_t blocks = options.steps / kBlock;
  std::vector<double> milliseconds;
  std::vector<double> losses;
  for (int64_t block = 0; block < blocks; ++block) {
    const auto start = std::chrono::steady_clock::now();
    training.pass.run(kBlock);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    milliseconds.push_back(took.count() / kBlock);
    if (4 * block < 3 * blocks) continue;
    for (const StepRecord& record : training.pass.records(kBlock))
      losses.push_back(record.nll + record.beta * record.kl);
  }
  const nlohmann::json result = {{"side", "elbo"},
                                 {"device", device->describe()},
                                 {"model", options.model},
                                 {"batch", options.batch},
                                 {"steps", blocks * kBlock},
                                 {"seed", options.seed},
                                 {"step_ms", median(milliseconds)},
                                 {"final_loss", median(losses)}};
  std::cout << result << '\n';
}

}  // namespace elbo::bench
