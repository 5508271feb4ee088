#include "host/nn/dense.hpp"

namespace elbo {

Dense::Dense(ParameterLayout& layout, const std::string& name, int32_t in, FeatureMap out,
             math::Activation activation)
    : in_(in),
      map_(out),
      activation_(activation),
      weight_(layout.add(name + ".weight", {out.size(), in})),
      bias_(layout.add(name + ".bias", {out.size()})) {}

void Dense::initialize(std::span<float> weights, uint64_t seed) const {
  const Fan fan = {static_cast<double>(in_), static_cast<double>(width())};
  initialize_uniform(weights, weight_, static_cast<int64_t>(in_) * width(), fan, activation_, seed);
}

Value Dense::forward(Recorder& recorder, const Value& x, Format format) const {
  ELBO_ASSERT(x.columns == in_);
  auto [y, preactivation] = activated_output(recorder, x.rows, width(), format, activation_);
  recorder.add(DenseForward{.rows = x.rows,
                            .in = in_,
                            .out = width(),
                            .activation = activation_,
                            .x = x.data,
                            .weight = recorder.factor(weight_),
                            .bias = recorder.weight(bias_),
                            .y = y.data,
                            .preactivation = preactivation,
                            .precision = recorder.precision(),
                            .bias_bf16 = recorder.weight_bf16(bias_)});
  recorder.on_tape(y, {x}, {weight_},
                   [this, &recorder, x](const Value& grad_y) { backward(recorder, x, grad_y); });
  return y;
}

void Dense::backward(Recorder& recorder, const Value& x, const Value& grad_y) const {
  if (recorder.trains(weight_))
    recorder.add(DenseBackwardWeights{.rows = x.rows,
                                      .in = in_,
                                      .out = width(),
                                      .grad_y = grad_y.data,
                                      .x = x.data,
                                      .grad_weight = recorder.gradient(weight_),
                                      .grad_bias = recorder.gradient(bias_),
                                      .precision = recorder.precision(),
                                      .accumulate = recorder.has_gradient(weight_)});
  if (!recorder.wants_gradient(x)) return;
  const Value grad_x = recorder.tensor(x.rows, in_, x.gradient);
  recorder.add(DenseBackwardInput{.rows = x.rows,
                                  .in = in_,
                                  .out = width(),
                                  .activation = x.activation,
                                  .grad_y = grad_y.data,
                                  .weight = recorder.factor(weight_),
                                  .saved = x.saved,
                                  .grad_x = grad_x.data,
                                  .precision = recorder.precision()});
  recorder.add_gradient(x, grad_x);
}

}  // namespace elbo
