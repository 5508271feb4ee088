#include "host/nn/residual_block.hpp"

namespace elbo {
namespace {

constexpr math::Activation kIdentity = math::Activation::of<math::Identity>();
constexpr ConvolutionTaps kThree = {.kernel = 3, .padding = 1};
constexpr ConvolutionTaps kOne = {.kernel = 1, .padding = 0};

/// a + b
Value add(Recorder& recorder, const Value& a, const Value& b, Format format) {
  ELBO_ASSERT(!a.saved && !b.saved && a.columns == b.columns);
  Value y = recorder.tensor(a.rows, a.columns, format);
  y.gradient = recorder.factor_format();
  recorder.add(GradientSum{.rows = a.rows,
                           .columns = a.columns,
                           .terms = {{a.data, a.columns}, {b.data, b.columns}},
                           .out = y.data});
  recorder.on_tape(y, {a, b}, {}, [&recorder, a, b](const Value& grad_y) {
    // Both gradients share memory. An op that adds to it in place is recorded after all of its
    // readers: b's gradient has only this part, and a comes before b.
    for (const Value& value : {a, b})
      if (recorder.wants_gradient(value)) recorder.add_gradient(value, grad_y);
  });
  return y;
}

}  // namespace

ResidualBlock::ResidualBlock(ParameterLayout& layout, const std::string& name, const FeatureMap& in,
                             int32_t channels, int32_t norm_groups, math::Activation activation)
    : norm1_(layout, name + ".norm1", in, fitting_groups(in.channels, norm_groups), activation),
      conv1_(layout, name + ".conv1", convolution_shape(in, channels, kThree), false, kIdentity),
      norm2_(layout, name + ".norm2", conv1_.out(), fitting_groups(channels, norm_groups),
             activation),
      conv2_(layout, name + ".conv2", convolution_shape(conv1_.out(), channels, kThree), false,
             kIdentity) {
  if (in.channels != channels)
    skip_.emplace(layout, name + ".skip", convolution_shape(in, channels, kOne), false, kIdentity);
}

void ResidualBlock::initialize(std::span<float> weights, uint64_t seed) const {
  norm1_.initialize(weights, seed);
  conv1_.initialize(weights, seed);
  norm2_.initialize(weights, seed);
  conv2_.initialize(weights, seed);
  if (skip_) skip_->initialize(weights, seed);
}

Value ResidualBlock::forward(Recorder& recorder, const Value& x, Format format) const {
  const Format inner = recorder.factor_format();
  const Value skip = skip_ ? skip_->forward(recorder, x, inner) : x;
  Value h = norm1_.forward(recorder, x, inner);
  h = conv1_.forward(recorder, h, inner);
  h = norm2_.forward(recorder, h, inner);
  h = conv2_.forward(recorder, h, inner);
  return add(recorder, skip, h, format);
}

}  // namespace elbo
