// Replaces kernels/cpu/processor.cpp: here the kernels are compiled once, for any processor.
#include "kernels/cpu/execution.hpp"

namespace elbo::cpu {

const Execution& best_execution() { return baseline::execution; }

std::vector<const Bfloat16Kernels*> usable_bfloat16_kernels() {
  return {&baseline::bfloat16_kernels};
}

}  // namespace elbo::cpu
