// Which ops of a program the CPU runs as one.
#pragma once

#include <vector>

#include "kernels/program.hpp"

namespace elbo::cpu {

/// For each op the place of the optimizer's update that takes its gradients straight from their
/// sums, instead of from memory; -1 for ops that run where they stand. Those are gradients of dense
/// layers' weights that nothing else reads, and whose factors are still there when the update
/// comes.
std::vector<int> updates_with_gradients(const Program& program);

}  // namespace elbo::cpu
