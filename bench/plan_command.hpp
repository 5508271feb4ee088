// `elbo_bench plan`: the graph of one training step on CUDA, and what it takes at least.
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

/// Records a training step as for a GPU and prints it node by node with predictions. Needs neither
/// a GPU nor a build with CUDA. Throws what the engine throws.
void run_plan_command(const PlanCommand& command);

}  // namespace elbo::bench
