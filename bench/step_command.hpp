// `elbo_bench step`: elbo's side of a comparison with another program (bench/peers).
#pragma once

#include <cstdint>
#include <string>

namespace elbo::bench {

struct StepCommand {
  std::string model = "784-400-z20";
  int64_t batch = 128;
  int64_t steps = 1000;
  int64_t seed = 1;
  std::string precision = "auto";
  int64_t iwae = 0;             // samples of the importance-weighted bound; 0: train on the ELBO
  std::string data;             // a data set; empty: random bytes
  std::string initial_weights;  // file to write them to; without `serve`, nothing else is done
  bool serve = false;
};

/// Trains for `steps` steps on a device ("cpu", "cuda" or "cuda:N") and prints one JSON object: the
/// median time of a step, the median loss of the last quarter of the steps, and the choices made
/// for the device. With `serve`, reads commands from standard input instead and answers each with
/// one line, like the peers (bench/peers/common.py). Throws what the engine throws.
void run_step_command(const StepCommand& command, const std::string& device, int threads);

}  // namespace elbo::bench
