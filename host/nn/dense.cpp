#include "host/nn/dense.hpp"

#include <cmath>

#include "kernels/math/philox.hpp"

namespace elbo {

Dense::Dense(ParameterLayout& layout, const std::string& name, int32_t in, int32_t out,
             math::Activation activation)
    : in_(in),
      out_(out),
      activation_(activation),
      weight_(layout.add(name + ".weight", {out, in})),
      bias_(layout.add(name + ".bias", {out})) {}

void Dense::initialize(std::span<float> weights, uint64_t seed) const {
  const bool rectified = activation_ == math::Activation::of<math::Relu>() ||
                         activation_ == math::Activation::of<math::LeakyRelu>() ||
                         activation_ == math::Activation::of<math::Elu>() ||
                         activation_ == math::Activation::of<math::Silu>();
  const double limit = std::sqrt(6.0 / (rectified ? in_ : in_ + out_));
  // Addressed by the place in the arena: a tensor's draw does not depend on the others.
  const uint64_t subsequence = math::noise_subsequence(math::NoiseStream::initialize, 0);
  const int64_t count = static_cast<int64_t>(in_) * out_;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = weight_ + i;
    const math::Bits4 bits = math::philox4x32(seed, subsequence, static_cast<uint64_t>(place) / 4);
    const double u = math::uniform(bits.value[place % 4]);
    weights[static_cast<size_t>(place)] = static_cast<float>(limit * (2.0 * u - 1.0));
  }
}

Value Dense::forward(Recorder& recorder, const Value& x, Format format) const {
  ELBO_ASSERT(x.columns == in_);
  Value y = recorder.tensor(x.rows, out_, format);
  y.activation = activation_;
  y.gradient = recorder.factor_format();
  Reals preactivation;
  activation_.visit([&](auto activation) {
    using Activation = decltype(activation);
    if constexpr (std::is_same_v<Activation, math::Identity>) return;
    if (Activation::derivative_from_input)
      preactivation = recorder.tensor(x.rows, out_, format).data;
    y.saved = preactivation ? preactivation : y.data;
  });
  recorder.add(DenseForward{.rows = x.rows,
                            .in = in_,
                            .out = out_,
                            .activation = activation_,
                            .x = x.data,
                            .weight = recorder.factor(weight_),
                            .bias = recorder.weight(bias_),
                            .y = y.data,
                            .preactivation = preactivation,
                            .tf32 = recorder.tf32(),
                            .bias_bf16 = recorder.weight_bf16(bias_)});
  recorder.on_tape(y, {x}, {weight_},
                   [this, &recorder, x](const Value& grad_y) { backward(recorder, x, grad_y); });
  return y;
}

void Dense::backward(Recorder& recorder, const Value& x, const Value& grad_y) const {
  if (recorder.trains(weight_))
    recorder.add(DenseBackwardWeights{.rows = x.rows,
                                      .in = in_,
                                      .out = out_,
                                      .grad_y = grad_y.data,
                                      .x = x.data,
                                      .grad_weight = recorder.gradient(weight_),
                                      .grad_bias = recorder.gradient(bias_),
                                      .tf32 = recorder.tf32(),
                                      .accumulate = recorder.has_gradient(weight_)});
  if (!recorder.wants_gradient(x)) return;
  const Value grad_x = recorder.tensor(x.rows, in_, x.gradient);
  recorder.add(DenseBackwardInput{.rows = x.rows,
                                  .in = in_,
                                  .out = out_,
                                  .activation = x.activation,
                                  .grad_y = grad_y.data,
                                  .weight = recorder.factor(weight_),
                                  .saved = x.saved,
                                  .grad_x = grad_x.data,
                                  .tf32 = recorder.tf32()});
  recorder.add_gradient(x, grad_x);
}

}  // namespace elbo
