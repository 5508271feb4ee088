#include "kernels/gradient_sum.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const GradientSum& op) { return element_rows(op.rows.capacity(), op.columns); }

constexpr int32_t kBlock = 256;

/// Columns first .. first+columns-1 of a row, summed in separate memory, because `out` may alias a
/// term.
void sum_block(const GradientSum& op, int64_t row, int32_t first, int32_t columns) {
  alignas(64) float sum[kBlock] = {};
  for (const GradientSum::Term& term : op.terms) {
    if (!term.data) continue;
    const float* data = term.data.f32() + row * term.columns + first;
    const int32_t present = std::min(columns, term.columns - first);
#pragma omp simd
    for (int32_t c = 0; c < present; ++c) sum[c] += data[c];
  }
  std::copy(sum, sum + columns, op.out.f32() + row * op.columns + first);
}

}  // namespace

int tasks(const GradientSum& op) { return partition(op).tasks(); }

void run(const GradientSum& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  for (int64_t row = range.begin; row < range.end; ++row)
    for (int32_t first = 0; first < op.columns; first += kBlock)
      sum_block(op, row, first, std::min(kBlock, op.columns - first));
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
