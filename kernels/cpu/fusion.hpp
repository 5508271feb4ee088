// The ops of a program that the CPU fuses.
#pragma once

#include <vector>

#include "kernels/program.hpp"

namespace elbo::cpu {

/// For each op, the index of the optimizer's update that is fused with it and reads gradients from
/// their sums instead of memory; -1 for ops that are not fused. Fused ops are gradients of dense
/// layers' weights that nothing else reads, and whose operands are still intact at the update.
std::vector<int> updates_with_gradients(const Program& program);

}  // namespace elbo::cpu
