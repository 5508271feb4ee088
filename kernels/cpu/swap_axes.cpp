#include "kernels/swap_axes.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const SwapAxes& op) { return element_rows(op.rows.capacity(), op.columns()); }

}  // namespace

int tasks(const SwapAxes& op) { return partition(op).tasks(); }

void run(const SwapAxes& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const int64_t inner = op.inner, second = op.second, first = op.first;
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* x = op.x.f32() + row * op.columns();
    float* y = op.y.f32() + row * op.columns();
    for (int64_t j = 0; j < second; ++j)
      for (int64_t i = 0; i < first; ++i)
        for (int64_t k = 0; k < inner; ++k)
          y[(j * first + i) * inner + k] = x[(i * second + j) * inner + k];
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
