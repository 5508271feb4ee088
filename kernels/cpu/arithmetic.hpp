// Selects the arithmetic for the precision of an op.
#pragma once

#include "kernels/core/error.hpp"
#include "kernels/core/precision.hpp"
#include "kernels/cpu/bfloat16_product.hpp"
#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/float_product.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

class Arithmetic {
 public:
  Arithmetic(Precision precision, const Resources& resources)
      : bfloat16_(precision == Precision::bf16 ? &resources.bfloat16 : nullptr) {
    ELBO_ASSERT(precision != Precision::tf32 && resources.bfloat16.lanes == kLanes);
  }

  /// Calls use(product) with an arithmetic for multiply(), on the thread that multiplies.
  template <class Use>
  void visit(Use&& use) const {
    if (bfloat16_ == nullptr)
      use(FloatProduct());
    else
      use(Bfloat16Product(*bfloat16_));
  }

 private:
  const Bfloat16Kernels* bfloat16_;
};

}  // namespace elbo::cpu::ELBO_CPU_ISA
