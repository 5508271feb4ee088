#include "host/measure/step_times.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "host/measure/median.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
namespace {

template <class Run>
double seconds_of(Run run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Number of runs that take some milliseconds, if `runs` took `seconds`. The cost of starting them
/// is then small, as in a training.
uint64_t block_of(double seconds, uint64_t runs) {
  constexpr double kBlock = 0.02;
  const double each = std::max(seconds, 1e-9) / static_cast<double>(runs);
  return static_cast<uint64_t>(std::clamp(kBlock / each, 1.0, 1000.0));
}

/// A repeatable run, and its time.
template <class Run>
class Timed {
 public:
  explicit Timed(Run run) : run_(std::move(run)) {
    constexpr uint64_t kTries = 3;
    run_(kTries);  // memory is touched, a GPU's ways of running are tried
    block_ = block_of(seconds_of([&] { run_(kTries); }), kTries);
  }
  /// Total seconds.
  double time_block() {
    const double seconds = seconds_of([&] { run_(block_); });
    times_.push_back(seconds / static_cast<double>(block_));
    return seconds;
  }
  double median_time() const { return median(times_); }

 private:
  Run run_;
  uint64_t block_ = 1;
  std::vector<double> times_;
};

}  // namespace

bool is_product(const Op& op) {
  return std::visit(
      [](const auto& o) {
        return requires { o.precision; };  // only products have a precision
      },
      op);
}

Program products_of(const Program& program) {
  Program products = program;
  std::erase_if(products, [](const Op& op) { return !is_product(op); });
  return products;
}

StepTimes time_step(TrainingStep& training, double seconds) {
  Device& device = *training.model.device;
  Timed step([&](uint64_t runs) {
    training.pass.run(runs);
    device.synchronize();
  });
  // After the steps, when every buffer contains the numbers of a real step.
  const auto executable = device.prepare(products_of(training.pass.program()));
  Timed products([&](uint64_t runs) {
    executable->run(runs);
    device.synchronize();
  });
  double step_seconds = 0.0, products_seconds = 0.0;
  while (std::min(step_seconds, products_seconds) < seconds) {
    step_seconds += step.time_block();
    products_seconds += products.time_block();
  }
  StepTimes times = {.step = step.median_time(), .products = products.median_time()};
  for (const Op& op : training.pass.program()) times.flops += flops_of(op);
  return times;
}

std::vector<OpTimes> profile_step(TrainingStep& training, double seconds) {
  const Program& program = training.pass.program();
  const auto executable = training.model.device->prepare(program);
  constexpr uint64_t kTries = 3;
  double took = seconds_of([&] {
    if (executable->time_ops(kTries).empty())
      throw ConfigError("profile: " + training.model.device->describe() +
                        " runs ops side by side and cannot tell their times apart, expected a CPU");
  });
  const uint64_t block = block_of(took, kTries);
  const auto seconds_in = [](const std::vector<OpTime>& times) {
    double sum = 0.0;
    for (const OpTime& time : times) sum += time.seconds;
    return sum;
  };
  std::vector<std::vector<OpTime>> blocks;
  for (took = 0.0; took < seconds;)
    took += seconds_of([&] { blocks.push_back(executable->time_ops(block)); });
  const auto middle = blocks.begin() + static_cast<std::ptrdiff_t>(blocks.size() / 2);
  std::ranges::nth_element(blocks, middle, {}, seconds_in);
  const std::vector<OpTime>& times = *middle;

  // An op is reported under its own name and the names of the ops fused into it.
  std::vector<std::string> names;
  for (const Op& op : program) names.emplace_back(name_of(op));
  for (size_t i = 0; i < program.size(); ++i) {
    std::string& name = names[static_cast<size_t>(times[i].within)];
    if (times[i].within != static_cast<int>(i) && name.find(name_of(program[i])) == name.npos)
      name += " + " + std::string(name_of(program[i]));
  }
  std::vector<OpTimes> ops;
  for (size_t i = 0; i < program.size(); ++i) {
    const std::string& name = names[static_cast<size_t>(times[i].within)];
    auto place = std::ranges::find(ops, name, &OpTimes::name);
    if (place == ops.end()) place = ops.insert(ops.end(), {.name = name});
    ++place->count;
    place->seconds += times[i].seconds;
    place->flops += flops_of(program[i]);
    place->bytes += bytes_of(program[i]);
  }
  return ops;
}

}  // namespace elbo
