#include <algorithm>
#include <numeric>

#include "bench/row.hpp"
#include "kernels/math/philox.hpp"

namespace elbo::bench {
namespace {

constexpr uint64_t kSeed = 20140;

/// Returns `count` elements; `make` converts 32 random bits to one element.
template <class T, class Make>
std::vector<T> random(int64_t count, Make make) {
  std::vector<T> values(static_cast<size_t>(count));
#pragma omp parallel for
  for (int64_t group = 0; group < (count + 3) / 4; ++group) {
    const math::Bits4 bits = math::philox4x32(kSeed, 0, static_cast<uint64_t>(group));
    for (int64_t i = 4 * group; i < std::min(count, 4 * group + 4); ++i)
      values[static_cast<size_t>(i)] = make(bits.value[i % 4]);
  }
  return values;
}

}  // namespace

float* Workspace::uniforms(int64_t count, float low, float high) {
  return put(random<float>(
      count, [&](uint32_t bits) { return low + (high - low) * math::uniform(bits); }));
}

Reals Workspace::uniforms(Format format, int64_t count, float low, float high) {
  if (format == Format::f32) return uniforms(count, low, high);
  return put(random<math::Bfloat16>(count, [&](uint32_t bits) {
    return math::to_bfloat16(low + (high - low) * math::uniform(bits));
  }));
}

Reals Workspace::zeros(Format format, int64_t count) {
  if (format == Format::f32) return zeros(count);
  return allocate<math::Bfloat16>(count);
}

uint8_t* Workspace::bytes(int64_t count) {
  return put(
      random<uint8_t>(count, [](uint32_t bits) { return static_cast<uint8_t>(bits & 0xffu); }));
}

int32_t* Workspace::labels(int64_t count, int32_t classes) {
  return put(random<int32_t>(count, [&](uint32_t bits) {
    return static_cast<int32_t>(bits % static_cast<uint32_t>(classes));
  }));
}

uint32_t* Workspace::counting(int64_t count, uint32_t first) {
  std::vector<uint32_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return put(values);
}

StepState* Workspace::state(int32_t rows) {
  return put(std::vector{StepState{.rows = rows,
                                   .learning_rate = 1e-3f,
                                   .correction1 = 1.0f / (1.0f - 0.9f),
                                   .correction2 = 1.0f / math::sqrt(1.0f - 0.999f)}});
}

}  // namespace elbo::bench
