#include "kernels/penalty.hpp"

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const L1Terms& op) { return element_rows(op.rows.capacity(), op.columns); }

template <class Activation>
void gradient_of_row(const L1Terms& op, int64_t row, float scale) {
  const float* x = op.x.f32() + row * op.columns;
  // Without φ the derivative is 1 for any argument.
  const float* saved = (op.saved ? op.saved : op.x).f32() + row * op.columns;
  float* grad = op.grad_x.f32() + row * op.columns;
#pragma omp simd
  for (int32_t c = 0; c < op.columns; ++c)
    grad[c] = math::sign(x[c]) * scale * Activation::derivative(saved[c]);
}

}  // namespace

int tasks(const L1Terms& op) { return partition(op).tasks(); }

void run(const L1Terms& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const float scale = op.weight / static_cast<float>(op.rows.active());
  for (int64_t row = range.begin; row < range.end; ++row) {
    const float* x = op.x.f32() + row * op.columns;
    float norm = 0.0f;
#pragma omp simd reduction(+ : norm)
    for (int32_t c = 0; c < op.columns; ++c) norm += math::abs(x[c]);
    op.norm[row] = norm;
  }
  if (!op.grad_x) return;
  const auto activation = op.saved ? op.activation : math::Activation::of<math::Identity>();
  activation.visit([&](auto chosen) {
    for (int64_t row = range.begin; row < range.end; ++row)
      gradient_of_row<decltype(chosen)>(op, row, scale);
  });
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
