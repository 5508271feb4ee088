#include "kernels/cpu/fusion.hpp"

#include <algorithm>

#include "kernels/dataflow.hpp"

namespace elbo::cpu {
namespace {

bool within(const float* part, int64_t count, const float* whole, int64_t all) {
  return part >= whole && part + count <= whole + all;
}

bool takes(const OptimizerUpdate& update, const DenseBackwardWeights& gradient) {
  return update.only_reader && update.squared_norm == nullptr && !gradient.accumulate &&
         within(gradient.grad_weight, int64_t{gradient.in} * gradient.out, update.grad,
                update.count) &&
         within(gradient.grad_bias, gradient.out, update.grad, update.count);
}

/// Index of the update that may be fused with op `at`.
int update_with(const Program& program, size_t at) {
  const auto* gradient = std::get_if<DenseBackwardWeights>(&program[at]);
  if (gradient == nullptr) return -1;
  const AccessList accesses = gradient->accesses();
  for (size_t later = at + 1; later < program.size(); ++later) {
    const auto* update = std::get_if<OptimizerUpdate>(&program[later]);
    if (update != nullptr && takes(*update, *gradient)) return static_cast<int>(later);
    if (conflict(accesses, accesses_of(program[later]))) return -1;
  }
  return -1;
}

}  // namespace

std::vector<int> updates_with_gradients(const Program& program) {
  std::vector<int> result;
  for (size_t at = 0; at < program.size(); ++at) result.push_back(update_with(program, at));
  return result;
}

}  // namespace elbo::cpu
