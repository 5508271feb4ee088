// Runs a training step and its ops for callgrind, which counts the instructions within counted_runs
// and starts a new count behind each call (tests/instructions_test.py). Prints as JSON the ops that
// were run, in order, and the conditions that the counts depend on.
#include <dnnl.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/small_training.hpp"

extern "C" [[gnu::noinline]] void counted_runs(elbo::Executable& executable, uint64_t runs) {
  executable.run(runs);
}

namespace elbo {
namespace {

constexpr uint64_t kRuns = 2;

void count_program(Device& device, const Program& program) {
  const std::unique_ptr<Executable> executable = device.prepare(program);
  executable->run(1);  // what is set up once
  counted_runs(*executable, kRuns);
}

/// A step with every kind of op that dense models commonly have; long enough loops that their ends
/// do not count.
void count_step() {
  Config config = small_config();
  config.hidden = {96, 64};
  config.latent_dim = 16;
  config.samples = 1;
  config.batch_size = 64;
  std::vector<uint8_t> bytes(size_t{128} * 784);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>((7 * i + i / 5) % 251);
  config.likelihood = math::Likelihood::of<math::Gaussian>();
  config.dequantize = Dequantization::uniform;
  SmallTraining training(config,
                         Dataset::from_rows(std::move(bytes), {784}, {.validation_fraction = 0.0}));
  Device& device = *training.model.device;
  std::vector<std::string> names = {"step"};
  count_program(device, training.pass.program());
  for (const Op& op : training.pass.program()) {
    const std::string name(name_of(op));
    if (std::ranges::find(names, name) != names.end()) continue;
    Program same;
    for (const Op& each : training.pass.program())
      if (name_of(each) == name) same.push_back(each);
    count_program(device, same);
    names.push_back(name);
  }
  const dnnl_version_t* dnnl = dnnl_version();
  const nlohmann::json result = {
      {"counted", names},
      {"runs", kRuns},
      {"for", std::string("g++ ") + __VERSION__ + ", oneDNN " + std::to_string(dnnl->major) + "." +
                  std::to_string(dnnl->minor) + ", " + device.describe()}};
  std::printf("%s\n", result.dump().c_str());
}

}  // namespace
}  // namespace elbo

int main() { elbo::count_step(); }
