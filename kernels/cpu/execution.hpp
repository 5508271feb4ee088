// The CPU execution of every op, compiled once per instruction set into its own namespace
// (ELBO_CPU_ISA) and chosen at run time. An op consists of one or more stages in sequence, and a
// stage of tasks that may run in any order, on any thread.
#pragma once

#include <functional>
#include <vector>

#include "kernels/cpu/bfloat16_kernels.hpp"
#include "kernels/cpu/partition.hpp"
#include "kernels/program.hpp"

namespace elbo::cpu {

struct Stage {
  int tasks = 0;
  std::function<void(int task)> run;
};

/// What ops know when they are prepared.
struct Resources {
  /// May determine the size of tasks, but not the order of any sum.
  int threads;
  const Bfloat16Kernels& bfloat16;
};

/// Entry points of one instruction set's build.
struct Execution {
  const char* name;
  /// The stages of each op, created once and run any number of times. An op that is fused into
  /// another has no stages; `updates` are the program's updates_with_gradients().
  std::vector<std::vector<Stage>> (*stages)(const Program& program, const std::vector<int>& updates,
                                            const Resources& resources);
};

// One build for each instruction set of kernels/CMakeLists.txt.
namespace baseline {
extern const Execution execution;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Execution execution;
}
namespace avx512 {
extern const Execution execution;
}
#endif

/// The best build that this processor can run.
const Execution& best_execution();

/// The bfloat16 kernels that it can run with that build, fastest first; the last are those of the
/// build itself.
std::vector<const Bfloat16Kernels*> usable_bfloat16_kernels();

}  // namespace elbo::cpu

#ifdef ELBO_CPU_ISA
namespace elbo::cpu::ELBO_CPU_ISA {

// Ops with a single stage and no preparation.

int tasks(const RandomFill&);
int tasks(const PermutationFill&);
int tasks(const GatherBatch&);
int tasks(const ResampleForward&);
int tasks(const ResampleBackward&);
int tasks(const GroupNormForward&);
int tasks(const GroupNormBackward&);
int tasks(const SwapAxes&);
int tasks(const LatentForward&);
int tasks(const KlWeights&);
int tasks(const LatentBackward&);
int tasks(const ImportanceWeights&);
int tasks(const LikelihoodTerms&);
int tasks(const LikelihoodMean&);
int tasks(const CategoricalTerms&);
int tasks(const L1Terms&);
int tasks(const GradientSum&);
int tasks(const ColumnSum&);
int tasks(const SquaredDistance&);
int tasks(const SquaredNorm&);

void run(const RandomFill&, int task);
void run(const PermutationFill&, int task);
void run(const GatherBatch&, int task);
void run(const ResampleForward&, int task);
void run(const ResampleBackward&, int task);
void run(const GroupNormForward&, int task);
void run(const GroupNormBackward&, int task);
void run(const SwapAxes&, int task);
void run(const LatentForward&, int task);
void run(const KlWeights&, int task);
void run(const LatentBackward&, int task);
void run(const ImportanceWeights&, int task);
void run(const LikelihoodTerms&, int task);
void run(const LikelihoodMean&, int task);
void run(const CategoricalTerms&, int task);
void run(const L1Terms&, int task);
void run(const GradientSum&, int task);
void run(const ColumnSum&, int task);
void run(const SquaredDistance&, int task);
void run(const SquaredNorm&, int task);

template <class O>
std::vector<Stage> stages(const O& op, const Resources&) {
  return {{tasks(op), [op](int task) { run(op, task); }}};
}

// Ops with a preparation or several stages.

std::vector<Stage> stages(const DenseForward&, const Resources& resources);
std::vector<Stage> stages(const DenseBackwardInput&, const Resources& resources);
std::vector<Stage> stages(const DenseBackwardWeights&, const Resources& resources);
std::vector<Stage> stages(const OptimizerUpdate&, const Resources& resources);
/// With the gradients of these layers fused.
std::vector<Stage> stages(const OptimizerUpdate&, const std::vector<DenseBackwardWeights>&,
                          const Resources& resources);
std::vector<Stage> stages(const ConvolutionForward&, const Resources& resources);
std::vector<Stage> stages(const ConvolutionBackwardInput&, const Resources& resources);
std::vector<Stage> stages(const ConvolutionBackwardWeights&, const Resources& resources);

}  // namespace elbo::cpu::ELBO_CPU_ISA
#endif
