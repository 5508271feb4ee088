// `elbo_bench plan`: the graph of one training step on CUDA, with a lower bound of its time.
#pragma once

#include <cstdint>
#include <string>

namespace elbo::bench {

struct PlanCommand {
  std::string model = "784-400-z20";
  int64_t batch = 128;
  std::string precision = "auto";
  std::string gpu = "h200";
  bool json = false;
};

/// Records the training step that a GPU would run and prints it node by node, with predicted times.
/// Needs neither a GPU nor a build with CUDA. Throws what the engine throws.
void run_plan_command(const PlanCommand& command);

}  // namespace elbo::bench
