// A convolution or transposed convolution: y = φ(w * x + b) over feature maps.
#pragma once

#include <array>
#include <string>

#include "host/nn/layer.hpp"
#include "kernels/convolution.hpp"

namespace elbo {

/// Parameters of a convolution except its channels.
struct ConvolutionTaps {
  int32_t kernel = 3;
  int32_t stride = 1;
  int32_t padding = 1;
  int32_t groups = 1;
  std::array<int32_t, 2> output_padding = {0, 0};  // transposed only: additional rows and columns
                                                   // at the far edges, fewer than stride
};

/// The input and output sizes of a convolution; 0 or less for an empty output.
ConvolutionShape convolution_shape(const FeatureMap& in, int32_t channels,
                                   const ConvolutionTaps& taps);
ConvolutionShape transposed_convolution_shape(const FeatureMap& in, int32_t channels,
                                              const ConvolutionTaps& taps);

class Convolution : public Layer {
 public:
  /// Adds `name`.weight [narrow channels, kernel, kernel, wide channels / groups] and `name`.bias
  /// [channels of the output] to the layout.
  Convolution(ParameterLayout& layout, const std::string& name, const ConvolutionShape& shape,
              bool transposed, math::Activation activation);

  FeatureMap out() const override { return transposed_ ? shape_.wide : shape_.narrow; }
  int64_t bias_offset() const { return bias_; }
  /// Zero biases.
  void initialize(std::span<float> weights, uint64_t seed) const override;
  Value forward(Recorder& recorder, const Value& x, Format format) const override;

 private:
  FeatureMap in() const { return transposed_ ? shape_.narrow : shape_.wide; }
  void backward(Recorder& recorder, const Value& x, const Value& grad_y) const;

  ConvolutionShape shape_;
  bool transposed_;
  math::Activation activation_;
  int64_t weight_, bias_;
};

}  // namespace elbo
