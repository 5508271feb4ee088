#include "host/nn/convolution.hpp"

namespace elbo {

ConvolutionShape convolution_shape(const FeatureMap& in, int32_t channels,
                                   const ConvolutionTaps& t) {
  const auto size = [&](int32_t wide) {
    const int32_t room = wide + 2 * t.padding - t.kernel;
    return room < 0 ? 0 : room / t.stride + 1;
  };
  return {in, {size(in.height), size(in.width), channels}, t.kernel, t.stride, t.padding, t.groups};
}

ConvolutionShape transposed_convolution_shape(const FeatureMap& in, int32_t channels,
                                              const ConvolutionTaps& t) {
  const auto size = [&](int32_t narrow, int32_t more) {
    return (narrow - 1) * t.stride - 2 * t.padding + t.kernel + more;
  };
  const FeatureMap wide = {size(in.height, t.output_padding[0]),
                           size(in.width, t.output_padding[1]), channels};
  return {wide, in, t.kernel, t.stride, t.padding, t.groups};
}

Convolution::Convolution(ParameterLayout& layout, const std::string& name,
                         const ConvolutionShape& shape, bool transposed,
                         math::Activation activation)
    : shape_(shape),
      transposed_(transposed),
      activation_(activation),
      weight_(layout.add(name + ".weight", {shape.narrow.channels, shape.kernel, shape.kernel,
                                            shape.wide.channels / shape.groups})),
      bias_(layout.add(name + ".bias", {out().channels})) {
  ELBO_ASSERT(shape.wide.channels % shape.groups == 0 && shape.narrow.channels % shape.groups == 0);
  ELBO_ASSERT(out().height > 0 && out().width > 0);
}

void Convolution::initialize(std::span<float> weights, uint64_t seed) const {
  // On average, one tap in stride * stride contributes to a pixel of the wide side.
  const double taps = static_cast<double>(shape_.kernel) * shape_.kernel / shape_.groups;
  const double wide = taps * shape_.wide.channels;
  const double narrow = taps * shape_.narrow.channels / (shape_.stride * shape_.stride);
  const Fan fan = transposed_ ? Fan{narrow, wide} : Fan{wide, narrow};
  initialize_uniform(weights, weight_, shape_.weights(), fan, activation_, seed);
}

Value Convolution::forward(Recorder& recorder, const Value& x, Format format) const {
  ELBO_ASSERT(x.columns == in().size());
  auto [y, preactivation] = activated_output(recorder, x.rows, out().size(), format, activation_);
  recorder.add(ConvolutionForward{.rows = x.rows,
                                  .shape = shape_,
                                  .transposed = transposed_,
                                  .activation = activation_,
                                  .x = x.data,
                                  .weight = recorder.factor(weight_),
                                  .bias = recorder.weight(bias_),
                                  .y = y.data,
                                  .preactivation = preactivation,
                                  .precision = recorder.precision()});
  recorder.on_tape(y, {x}, {weight_},
                   [this, &recorder, x](const Value& grad_y) { backward(recorder, x, grad_y); });
  return y;
}

void Convolution::backward(Recorder& recorder, const Value& x, const Value& grad_y) const {
  if (recorder.trains(weight_))
    recorder.add(ConvolutionBackwardWeights{.rows = x.rows,
                                            .shape = shape_,
                                            .transposed = transposed_,
                                            .grad_y = grad_y.data,
                                            .x = x.data,
                                            .grad_weight = recorder.gradient(weight_),
                                            .grad_bias = recorder.gradient(bias_),
                                            .precision = recorder.precision(),
                                            .accumulate = recorder.has_gradient(weight_)});
  if (!recorder.wants_gradient(x)) return;
  const Value grad_x = recorder.tensor(x.rows, in().size(), x.gradient);
  recorder.add(ConvolutionBackwardInput{.rows = x.rows,
                                        .shape = shape_,
                                        .transposed = transposed_,
                                        .activation = x.activation,
                                        .grad_y = grad_y.data,
                                        .weight = recorder.factor(weight_),
                                        .saved = x.saved,
                                        .grad_x = grad_x.data,
                                        .precision = recorder.precision()});
  recorder.add_gradient(x, grad_x);
}

}  // namespace elbo
