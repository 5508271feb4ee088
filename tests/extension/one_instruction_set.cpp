// In the place of kernels/cpu/processor.cpp: the kernels are compiled once here, for any processor.
#include "kernels/cpu/execution.hpp"

namespace elbo::cpu {

const Execution& best_execution() { return baseline::execution; }

std::vector<const Bfloat16Kernels*> usable_bfloat16_kernels() {
  return {&baseline::bfloat16_kernels};
}

}  // namespace elbo::cpu
