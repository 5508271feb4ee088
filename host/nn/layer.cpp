#include "host/nn/layer.hpp"

#include <cmath>

#include "kernels/math/philox.hpp"

namespace elbo {

void initialize_uniform(std::span<float> weights, int64_t offset, int64_t count, const Fan& fan,
                        math::Activation activation, uint64_t seed) {
  const bool rectified = activation == math::Activation::of<math::Relu>() ||
                         activation == math::Activation::of<math::LeakyRelu>() ||
                         activation == math::Activation::of<math::Elu>() ||
                         activation == math::Activation::of<math::Silu>();
  const double limit = std::sqrt(6.0 / (rectified ? fan.in : fan.in + fan.out));
  const uint64_t subsequence = math::noise_subsequence(math::NoiseStream::initialize, 0);
  for (int64_t place = offset; place < offset + count; ++place) {
    const math::Bits4 bits = math::philox4x32(seed, subsequence, static_cast<uint64_t>(place) / 4);
    const double u = math::uniform(bits.value[place % 4]);
    weights[static_cast<size_t>(place)] = static_cast<float>(limit * (2.0 * u - 1.0));
  }
}

ActivatedOutput activated_output(Recorder& recorder, Rows rows, int32_t columns, Format format,
                                 math::Activation activation) {
  ActivatedOutput out;
  out.y = recorder.tensor(rows, columns, format);
  out.y.activation = activation;
  out.y.gradient = recorder.factor_format();
  activation.visit([&](auto formula) {
    using Activation = decltype(formula);
    if constexpr (std::is_same_v<Activation, math::Identity>) return;
    if (Activation::derivative_from_input)
      out.preactivation = recorder.tensor(rows, columns, format).data;
    out.y.saved = out.preactivation ? out.preactivation : out.y.data;
  });
  return out;
}

}  // namespace elbo
