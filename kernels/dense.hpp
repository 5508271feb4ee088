// Contract: dense layers. Weights are [out, in], as in PyTorch; all matrices row-major and packed.
// Outputs are overwritten (=), never accumulated. Sums run in float, in an order that depends on
// the shapes alone, so results are bit-repeatable on a device.
#pragma once

#include <string_view>

#include "kernels/core/rows.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

/// y = φ(x W^T + b)
struct DenseForward {
  static constexpr std::string_view name = "dense_forward";
  Rows rows;
  int32_t in = 0, out = 0;
  math::Activation activation;
  const float* x = nullptr;        // [rows, in]
  const float* weight = nullptr;   // [out, in]
  const float* bias = nullptr;     // [out]
  float* y = nullptr;              // [rows, out]
  float* preactivation = nullptr;  // [rows, out], for activations whose derivative needs it

  double bytes() const {
    const double m = rows.capacity();
    return 4.0 * (m * in + static_cast<double>(in) * out + out +
                  m * out * (preactivation == nullptr ? 1 : 2));
  }
  double flops() const { return 2.0 * rows.capacity() * in * out; }
};

/// grad_x = (grad_y W) ∘ φ'(saved): the gradient at the pre-activation of the layer that made x.
/// `saved` is that layer's output or pre-activation, whichever φ' needs; null where x had no φ.
struct DenseBackwardInput {
  static constexpr std::string_view name = "dense_backward_input";
  Rows rows;
  int32_t in = 0, out = 0;
  math::Activation activation;
  const float* grad_y = nullptr;  // [rows, out]
  const float* weight = nullptr;  // [out, in]
  const float* saved = nullptr;   // [rows, in]
  float* grad_x = nullptr;        // [rows, in]

  double bytes() const {
    const double m = rows.capacity();
    return 4.0 * (m * out + static_cast<double>(in) * out + m * in * (saved == nullptr ? 1 : 2));
  }
  double flops() const { return 2.0 * rows.capacity() * in * out; }
};

/// grad_weight = grad_y^T x and grad_bias = column sums of grad_y.
struct DenseBackwardWeights {
  static constexpr std::string_view name = "dense_backward_weights";
  Rows rows;
  int32_t in = 0, out = 0;
  const float* grad_y = nullptr;  // [rows, out]
  const float* x = nullptr;       // [rows, in]
  float* grad_weight = nullptr;   // [out, in]
  float* grad_bias = nullptr;     // [out]

  double bytes() const {
    const double m = rows.capacity();
    return 4.0 * (m * out + m * in + static_cast<double>(in) * out + out);
  }
  double flops() const { return 2.0 * rows.capacity() * in * out; }
};

}  // namespace elbo
