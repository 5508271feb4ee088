// Epilogues of convolutions, fused with the product (convolution.cu) or after a library's
// (convolution_rest.cu): bias and activation, derivative, sums of slices.
#pragma once

#include "kernels/convolution.hpp"
#include "kernels/cuda/quads.cuh"
#include "kernels/cuda/stream.hpp"

namespace elbo::cuda {

/// Applies the epilogue to a quad of sums and stores it at index `place` of y; its first element is
/// in `channel`.
template <bool kVector>
ELBO_DEVICE void finish_quad(const ConvolutionForward& op, int64_t place, int32_t channel,
                             int32_t left, math::Float4 y) {
  const math::Float4 bias = load_quad<kVector>(op.bias + channel, left);
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i) y.value[i] += bias.value[i];
  if (op.preactivation) store_quad<kVector>(op.preactivation, place, left, y);
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i) y.value[i] = math::activate(op.activation, y.value[i]);
  store_quad<kVector>(op.y, place, left, y);
}
/// The same for grad_x.
template <bool kVector>
ELBO_DEVICE void finish_quad(const ConvolutionBackwardInput& op, int64_t place, int32_t,
                             int32_t left, math::Float4 grad) {
  if (op.saved) {
    const math::Float4 saved = load_quad<kVector>(op.saved, place, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i)
      grad.value[i] *= math::activation_derivative(op.activation, saved.value[i]);
  }
  store_quad<kVector>(op.grad_x, place, left, grad);
}

/// True if all arrays that finish_quad accesses are aligned for quads with `channels` channels in a
/// group.
inline bool has_vector_result(const ConvolutionForward& op, int32_t channels) {
  return has_vector_access({op.bias, op.y.data, op.preactivation.data}, {channels});
}
inline bool has_vector_result(const ConvolutionBackwardInput& op, int32_t channels) {
  return has_vector_access({op.saved.data, op.grad_x.data}, {channels});
}

/// A sum over slices: out[i] = sum over s of partial[s * stride + i].
struct SlicedSum {
  const float* partial = nullptr;
  int32_t slices = 0;
  int64_t stride = 0;
  int64_t count = 0;
  float* out = nullptr;
};

/// Gradients of weights sum over all pixels of a batch, divided into slices that blocks sum in
/// parallel. The division depends only on the shape. Partial sums are in the op's scratch: first
/// the product's, per slice weights and then the narrow side's channels, and then the bias's, if it
/// is summed separately.
struct GradientSlices {
  static constexpr int32_t kAlignment = 64;  // a multiple of the depth of every method

  int32_t count;       // slices of the product
  int32_t depth;       // pixels of the narrow side in each
  int64_t stride;      // floats between the starts of slices
  int32_t bias_count;  // slices of the bias gradient
  int64_t bias_rows;   // pixels of grad_y in each
  int64_t bias_stride;

  explicit GradientSlices(const ConvolutionBackwardWeights& op);
  /// A single slice writes its sums to the destination directly.
  int64_t product_floats() const { return count > 1 ? count * stride : 0; }
  int64_t floats() const {
    return product_floats() + (bias_count > 1 ? bias_count * bias_stride : 0);
  }
};

/// Queues the sums of grad_y; returns the sum over slices that remains.
SlicedSum sum_bias_gradient(const ConvolutionBackwardWeights& op, const Queue& queue);

/// Queues the sums over slices, if any.
void add_slices(const SlicedSum& one, const SlicedSum& other, bool accumulate, Stream stream);

}  // namespace elbo::cuda
