// Contract: dense layers. Weights are [out, in], as in PyTorch; all matrices row-major and packed.
// Outputs are overwritten (=), except accumulated gradients of weights. Sums are in float, in an
// order that depends only on the shapes, so results are bit-repeatable on a device.
//
// The two operands of a product are both float or both bfloat16 (CUDA only). Float operands are
// first rounded as `precision` requires: to TF32 (10 mantissa bits) on CUDA only, to bfloat16 on
// the CPU only. Sums of bias gradients may skip the rounding.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/precision.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

/// y = φ(x W^T + b)
struct DenseForward {
  static constexpr std::string_view name = "dense_forward";
  Rows rows;
  int32_t in = 0, out = 0;
  math::Activation activation;
  ConstReals x;                 // [rows, in]
  ConstReals weight;            // [out, in]
  const float* bias = nullptr;  // [out]
  Reals y;                      // [rows, out]
  Reals preactivation;          // [rows, out], like y; for activations whose derivative needs it
  Precision precision = Precision::fp32;
  const math::Bfloat16* bias_bf16 = nullptr;  // a copy of bias for libraries that need one with a
                                              // bfloat16 y; null if there is none

  AccessList accesses() const {
    const int64_t m = rows.capacity();
    return AccessList()
        .reads(rows.state, 1)
        .reads(x, m * in)
        .reads(weight, int64_t{in} * out)
        .reads(bias, out)
        .writes(y, m * out)
        .writes(preactivation, m * out);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), in, out}); }
  double flops() const { return 2.0 * rows.capacity() * in * out; }
};

/// grad_x = (grad_y W) ∘ φ'(saved): the gradient at the pre-activation of the layer that computed
/// x. `saved` is that layer's output or pre-activation, whichever φ' needs; null if x had no φ.
struct DenseBackwardInput {
  static constexpr std::string_view name = "dense_backward_input";
  Rows rows;
  int32_t in = 0, out = 0;
  math::Activation activation;
  ConstReals grad_y;  // [rows, out]
  ConstReals weight;  // [out, in]
  ConstReals saved;   // [rows, in], like grad_x
  Reals grad_x;       // [rows, in]
  Precision precision = Precision::fp32;

  AccessList accesses() const {
    const int64_t m = rows.capacity();
    return AccessList()
        .reads(rows.state, 1)
        .reads(grad_y, m * out)
        .reads(weight, int64_t{in} * out)
        .reads(saved, m * in)
        .writes(grad_x, m * in);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), in, out}); }
  double flops() const { return 2.0 * rows.capacity() * in * out; }
};

/// grad_weight = grad_y^T x and grad_bias = column sums of grad_y. With `accumulate` both are added
/// (+=), for a layer that is applied several times.
struct DenseBackwardWeights {
  static constexpr std::string_view name = "dense_backward_weights";
  Rows rows;
  int32_t in = 0, out = 0;
  ConstReals grad_y;             // [rows, out]
  ConstReals x;                  // [rows, in]
  float* grad_weight = nullptr;  // [out, in]
  float* grad_bias = nullptr;    // [out]
  Precision precision = Precision::fp32;
  bool accumulate = false;

  AccessList accesses() const {
    const int64_t m = rows.capacity();
    AccessList list;
    if (accumulate) list.reads(grad_weight, int64_t{in} * out).reads(grad_bias, out);
    return list.reads(rows.state, 1)
        .reads(grad_y, m * out)
        .reads(x, m * in)
        .writes(grad_weight, int64_t{in} * out)
        .writes(grad_bias, out);
  }
  std::string sizes() const { return sizes_text({rows.capacity(), in, out}); }
  double flops() const { return 2.0 * rows.capacity() * in * out; }
};

}  // namespace elbo
