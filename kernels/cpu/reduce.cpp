#include "kernels/reduce.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const SquaredDistance& op) {
  return element_rows(op.rows.capacity(), op.columns);
}
Partition partition(const SquaredNorm& op) { return {op.count, kArenaChunk}; }

}  // namespace

int tasks(const ColumnSum&) { return 1; }

void run(const ColumnSum& op, int) {
  constexpr int kColumns = 64;
  const int rows = op.rows.active();
  for (int32_t first = 0; first < op.columns; first += kColumns) {
    const int columns = std::min(kColumns, op.columns - first);
    double sum[kColumns] = {};
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        sum[c] += op.x.f32()[static_cast<int64_t>(r) * op.columns + first + c];
    for (int c = 0; c < columns; ++c)
      op.out[first + c] = static_cast<float>(op.accumulate ? op.out[first + c] + sum[c] : sum[c]);
  }
}

int tasks(const SquaredDistance& op) { return partition(op).tasks(); }

void run(const SquaredDistance& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* x = op.x + row / op.rows.per_input * op.columns;
    const float* y = op.y + row * op.columns;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int32_t c = 0; c < op.columns; ++c) sum += (x[c] - y[c]) * (x[c] - y[c]);
    op.distance[row] = sum;
  }
}

int tasks(const SquaredNorm& op) { return partition(op).tasks(); }

void run(const SquaredNorm& op, int task) {
  const Range range = partition(op).range(task);
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = range.begin; i < range.end; ++i) sum += op.x[i] * op.x[i];
  op.partial[task] = sum;
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
