// Matrix products are the Gemm's; the kernels here are what comes before and after them.

#include "kernels/cuda/column_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

/// y = φ(y + bias), a row per block.
template <class A, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads) bias_activation_kernel(DenseForward op) {
  const int64_t row = int64_t{blockIdx.x} * op.out;
  for (int32_t c = kQuad * threadIdx.x; c < op.out; c += kQuad * blockDim.x) {
    const int32_t left = op.out - c;
    math::Float4 y = load_quad<kVector>(op.y + row + c, left);
    const math::Float4 bias = load_quad<kVector>(op.bias + c, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) y.value[i] += bias.value[i];
    if (op.preactivation != nullptr) store_quad<kVector>(op.preactivation + row + c, left, y);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) y.value[i] = A::value(y.value[i]);
    store_quad<kVector>(op.y + row + c, left, y);
  }
}

void launch_op(const DenseForward& op, const Queue& queue) {
  const int32_t rows = op.rows.capacity();
  if (rows == 0) return;
  queue.gemm.multiply({.m = rows,
                       .n = op.out,
                       .k = op.in,
                       .a = op.x,
                       .b = op.weight,
                       .c = op.y,
                       .b_transposed = true});
  op.activation.visit([&](auto activation) {
    with_vector_access({op.y, op.bias, op.preactivation}, {op.out}, [&](auto vector) {
      launch_rows(bias_activation_kernel<decltype(activation), decltype(vector)::value>, rows,
                  op.out, queue.stream, op);
    });
  });
}

/// grad_x = grad_x ∘ φ'(saved), a row per block.
template <class A, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads) activation_backward_kernel(DenseBackwardInput op) {
  const int64_t row = int64_t{blockIdx.x} * op.in;
  for (int32_t c = kQuad * threadIdx.x; c < op.in; c += kQuad * blockDim.x) {
    const int32_t left = op.in - c;
    const math::Float4 saved = load_quad<kVector>(op.saved + row + c, left);
    math::Float4 grad = load_quad<kVector>(op.grad_x + row + c, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) grad.value[i] *= A::derivative(saved.value[i]);
    store_quad<kVector>(op.grad_x + row + c, left, grad);
  }
}

void launch_op(const DenseBackwardInput& op, const Queue& queue) {
  const int32_t rows = op.rows.capacity();
  if (rows == 0) return;
  queue.gemm.multiply(
      {.m = rows, .n = op.in, .k = op.out, .a = op.grad_y, .b = op.weight, .c = op.grad_x});
  if (op.saved == nullptr) return;
  op.activation.visit([&](auto activation) {
    with_vector_access({op.saved, op.grad_x}, {op.in}, [&](auto vector) {
      launch_rows(activation_backward_kernel<decltype(activation), decltype(vector)::value>, rows,
                  op.in, queue.stream, op);
    });
  });
}

void launch_op(const DenseBackwardWeights& op, const Queue& queue) {
  queue.gemm.multiply({.m = op.out,
                       .n = op.in,
                       .k = op.rows.capacity(),
                       .a = op.grad_y,
                       .b = op.x,
                       .c = op.grad_weight,
                       .a_transposed = true});
  launch_column_sum<float>({op.rows, op.out, op.grad_y, op.grad_bias}, queue.stream);
}

}  // namespace elbo::cuda
