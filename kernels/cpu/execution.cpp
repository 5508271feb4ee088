#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

#define ELBO_STRINGIFY_(x) #x
#define ELBO_STRINGIFY(x) ELBO_STRINGIFY_(x)

const Execution execution = {
    ELBO_STRINGIFY(ELBO_CPU_ISA),
    [](const Op& op, int threads) {
      return std::visit([&](const auto& o) { return stages(o, threads); }, op);
    },
};

}  // namespace elbo::cpu::ELBO_CPU_ISA
