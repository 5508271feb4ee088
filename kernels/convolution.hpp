// Contract: 2-D convolutions and transposed convolutions, their gradients and epilogues.
//
// Both sum over pairs of pixels, one of a wide side and one of a narrow side: a convolution reads
// the wide side and writes the narrow one, a transposed convolution does the reverse (it is the
// gradient of a convolution with respect to its input). Tap (ky, kx) connects pixel (y, x) of the
// narrow side to pixel (y * stride - padding + ky, x * stride - padding + kx) of the wide side;
// pixels outside are zero.
//
// Rows are feature maps [height, width, channels]. Weights are [narrow channels, kernel, kernel,
// wide channels / groups]: PyTorch's Conv2d and ConvTranspose2d weights with the channels last.
// Group g connects the g-th groups of both sides' channels.
//
// Outputs are overwritten (=), except accumulated gradients of weights. Sums are in float, in an
// order that depends only on the shapes. Formats and precision are as in kernels/dense.hpp, except
// that the CPU does not round.
#pragma once

#include <string_view>

#include "kernels/core/access.hpp"
#include "kernels/core/feature_map.hpp"
#include "kernels/core/precision.hpp"
#include "kernels/core/rows.hpp"
#include "kernels/core/sizes.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

struct ConvolutionShape {
  FeatureMap wide, narrow;
  int32_t kernel = 1;  // taps in each direction
  int32_t stride = 1;
  int32_t padding = 0;
  int32_t groups = 1;

  int64_t weights() const {
    return int64_t{narrow.channels} * kernel * kernel * (wide.channels / groups);
  }
  /// For one row, counting taps on the padding too.
  double flops() const { return 2.0 * narrow.pixels() * static_cast<double>(weights()); }
};

/// "128x28x28x3-14x14x32/4/2/1/1": both sides, then kernel, stride, padding and groups.
template <class Op>
std::string convolution_sizes(const Op& op) {
  const auto part = [](int32_t number) { return '/' + std::to_string(number); };
  return sizes_text(op.rows.capacity(), op.in(), op.out()) + part(op.shape.kernel) +
         part(op.shape.stride) + part(op.shape.padding) + part(op.shape.groups) +
         (op.transposed ? " transposed" : "");
}

/// y = φ(convolution of x + b)
struct ConvolutionForward {
  static constexpr std::string_view name = "convolution_forward";
  Rows rows;
  ConvolutionShape shape;
  bool transposed = false;
  math::Activation activation;
  ConstReals x;                 // [rows, in()]
  ConstReals weight;            // [weights]
  const float* bias = nullptr;  // [channels of y]
  Reals y;                      // [rows, out()]
  Reals preactivation;          // [rows, out()], like y; for activations whose derivative needs it
  Precision precision = Precision::fp32;

  const FeatureMap& in() const { return transposed ? shape.narrow : shape.wide; }
  const FeatureMap& out() const { return transposed ? shape.wide : shape.narrow; }
  AccessList accesses() const {
    const int64_t m = rows.capacity();
    return AccessList()
        .reads(rows.state, 1)
        .reads(x, m * in().size())
        .reads(weight, shape.weights())
        .reads(bias, out().channels)
        .writes(y, m * out().size())
        .writes(preactivation, m * out().size());
  }
  std::string sizes() const { return convolution_sizes(*this); }
  double flops() const { return rows.capacity() * shape.flops(); }
};

/// grad_x = (gradient at x, given the gradient grad_y of the sums) ∘ φ'(saved), as in
/// DenseBackwardInput.
struct ConvolutionBackwardInput {
  static constexpr std::string_view name = "convolution_backward_input";
  Rows rows;
  ConvolutionShape shape;
  bool transposed = false;
  math::Activation activation;  // of the layer that computed x
  ConstReals grad_y;            // [rows, out()]
  ConstReals weight;            // [weights]
  ConstReals saved;             // [rows, in()], like grad_x, or null
  Reals grad_x;                 // [rows, in()]
  Precision precision = Precision::fp32;

  const FeatureMap& in() const { return transposed ? shape.narrow : shape.wide; }
  const FeatureMap& out() const { return transposed ? shape.wide : shape.narrow; }
  AccessList accesses() const {
    const int64_t m = rows.capacity();
    return AccessList()
        .reads(rows.state, 1)
        .reads(grad_y, m * out().size())
        .reads(weight, shape.weights())
        .reads(saved, m * in().size())
        .writes(grad_x, m * in().size());
  }
  std::string sizes() const { return convolution_sizes(*this); }
  double flops() const { return rows.capacity() * shape.flops(); }
};

/// grad_weight = gradient at the weights, and grad_bias = sums of grad_y over rows and pixels. With
/// `accumulate` both are added (+=), for a layer that is applied several times.
struct ConvolutionBackwardWeights {
  static constexpr std::string_view name = "convolution_backward_weights";
  Rows rows;
  ConvolutionShape shape;
  bool transposed = false;
  ConstReals grad_y;             // [rows, out()]
  ConstReals x;                  // [rows, in()]
  float* grad_weight = nullptr;  // [weights]
  float* grad_bias = nullptr;    // [channels of grad_y]
  Precision precision = Precision::fp32;
  bool accumulate = false;

  const FeatureMap& in() const { return transposed ? shape.narrow : shape.wide; }
  const FeatureMap& out() const { return transposed ? shape.wide : shape.narrow; }
  AccessList accesses() const {
    const int64_t m = rows.capacity();
    AccessList list;
    if (accumulate) list.reads(grad_weight, shape.weights()).reads(grad_bias, out().channels);
    return list.reads(rows.state, 1)
        .reads(grad_y, m * out().size())
        .reads(x, m * in().size())
        .writes(grad_weight, shape.weights())
        .writes(grad_bias, out().channels);
  }
  std::string sizes() const { return convolution_sizes(*this); }
  double flops() const { return rows.capacity() * shape.flops(); }
};

}  // namespace elbo
