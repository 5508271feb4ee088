#include "kernels/cpu/execution.hpp"

#include "kernels/cpu/vector.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

std::vector<std::vector<Stage>> stages_of(const Program& program, const std::vector<int>& updates,
                                          const Resources& resources) {
  std::vector<std::vector<DenseBackwardWeights>> gradients(program.size());  // fused into each op
  for (size_t i = 0; i < program.size(); ++i)
    if (updates[i] >= 0)
      gradients[static_cast<size_t>(updates[i])].push_back(
          std::get<DenseBackwardWeights>(program[i]));
  std::vector<std::vector<Stage>> result(program.size());
  for (size_t i = 0; i < program.size(); ++i) {
    if (updates[i] >= 0) continue;
    if (!gradients[i].empty())
      result[i] = stages(std::get<OptimizerUpdate>(program[i]), gradients[i], resources);
    else
      result[i] = std::visit([&](const auto& op) { return stages(op, resources); }, program[i]);
  }
  return result;
}

}  // namespace

const Execution execution = {kIsaName, stages_of};

}  // namespace elbo::cpu::ELBO_CPU_ISA
