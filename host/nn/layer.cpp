#include "host/nn/layer.hpp"

#include <algorithm>
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
  constexpr int64_t kBlock = 4;  // numbers of one Philox draw
  const int64_t end = offset + count;
#pragma omp parallel for schedule(static)
  for (int64_t block = offset / kBlock; block < (end + kBlock - 1) / kBlock; ++block) {
    const math::Bits4 bits = math::philox4x32(seed, subsequence, static_cast<uint64_t>(block));
    const int64_t first = std::max(offset, block * kBlock);
    const int64_t last = std::min(end, (block + 1) * kBlock);
    for (int64_t i = first; i < last; ++i) {
      const double u = math::uniform(bits.value[i % kBlock]);
      weights[static_cast<size_t>(i)] = static_cast<float>(limit * (2.0 * u - 1.0));
    }
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
