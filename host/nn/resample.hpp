// Upsampling and pooling by an integer factor, without parameters.
#pragma once

#include "host/nn/layer.hpp"
#include "kernels/resample.hpp"

namespace elbo {

class Resample : public Layer {
 public:
  Resample(const FeatureMap& in, math::Resampling resampling, int32_t factor);

  FeatureMap out() const override { return shape_.out(); }
  void initialize(std::span<float>, uint64_t) const override {}
  Value forward(Recorder& recorder, const Value& x, Format format) const override;

 private:
  ResampleShape shape_;
};

/// Rows of [first, second, inner] elements as rows of [second, first, inner] ones. The activation
/// of x is kept, so the gradient refers to its pre-activation.
Value swap_axes(Recorder& recorder, const Value& x, int32_t first, int32_t second, int32_t inner);

}  // namespace elbo
