// Matrix products are oneDNN's, called on one thread per task: inside a parallel region oneDNN
// stays sequential, and the tasks' shapes do not depend on the number of threads.
#include <dnnl.h>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const DenseForward& op) {
  return product_rows(op.rows.capacity(), static_cast<int64_t>(op.in) * op.out);
}
Partition partition(const DenseBackwardInput& op) {
  return product_rows(op.rows.capacity(), static_cast<int64_t>(op.in) * op.out);
}
Partition partition(const DenseBackwardWeights& op) {
  return product_rows(op.out, static_cast<int64_t>(op.in) * op.rows.capacity());
}

}  // namespace

int tasks(const DenseForward& op) { return partition(op).tasks(); }

void run(const DenseForward& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const int64_t rows = range.end - range.begin;
  if (rows == 0) return;
  float* y = op.y.f32() + range.begin * op.out;
  dnnl_sgemm('N', 'T', rows, op.out, op.in, 1.0f, op.x.f32() + range.begin * op.in, op.in,
             op.weight.f32(), op.in, 0.0f, y, op.out);
  op.activation.visit([&](auto activation) {
    using Activation = decltype(activation);
    const float* bias = op.bias;
    for (int64_t r = 0; r < rows; ++r) {
      float* y_row = y + r * op.out;
      if (!op.preactivation) {
#pragma omp simd
        for (int32_t c = 0; c < op.out; ++c) y_row[c] = Activation::value(y_row[c] + bias[c]);
        continue;
      }
      float* pre_row = op.preactivation.f32() + (range.begin + r) * op.out;
#pragma omp simd
      for (int32_t c = 0; c < op.out; ++c) {
        const float value = y_row[c] + bias[c];
        pre_row[c] = value;
        y_row[c] = Activation::value(value);
      }
    }
  });
}

int tasks(const DenseBackwardInput& op) { return partition(op).tasks(); }

void run(const DenseBackwardInput& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const int64_t rows = range.end - range.begin;
  if (rows == 0) return;
  float* grad_x = op.grad_x.f32() + range.begin * op.in;
  dnnl_sgemm('N', 'N', rows, op.in, op.out, 1.0f, op.grad_y.f32() + range.begin * op.out, op.out,
             op.weight.f32(), op.in, 0.0f, grad_x, op.in);
  if (!op.saved) return;
  const float* saved = op.saved.f32() + range.begin * op.in;
  op.activation.visit([&](auto activation) {
    using Activation = decltype(activation);
#pragma omp simd
    for (int64_t i = 0; i < rows * op.in; ++i) grad_x[i] *= Activation::derivative(saved[i]);
  });
}

int tasks(const DenseBackwardWeights& op) { return partition(op).tasks(); }

void run(const DenseBackwardWeights& op, int task) {
  const Range range = partition(op).range(task);
  const int64_t columns = range.end - range.begin;
  const int rows = op.rows.active();
  const float* grad_y = op.grad_y.f32() + range.begin;
  dnnl_sgemm('T', 'N', columns, op.in, rows, 1.0f, grad_y, op.out, op.x.f32(), op.in,
             op.accumulate ? 1.0f : 0.0f, op.grad_weight + range.begin * op.in, op.in);
  float* grad_bias = op.grad_bias + range.begin;
  if (!op.accumulate) std::fill(grad_bias, grad_bias + columns, 0.0f);
  for (int r = 0; r < rows; ++r) {
    const float* grad_row = grad_y + static_cast<int64_t>(r) * op.out;
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) grad_bias[c] += grad_row[c];
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
