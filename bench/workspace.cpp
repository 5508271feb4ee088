#include "bench/row.hpp"
#include "kernels/math/philox.hpp"

namespace elbo::bench {
namespace {

constexpr uint64_t kSeed = 20140;

/// Calls visit(i, bits) for i < count.
template <class Visit>
void for_random_bits(int64_t count, Visit visit) {
  for (int64_t group = 0; 4 * group < count; ++group) {
    const math::Bits4 bits = math::philox4x32(kSeed, 0, static_cast<uint64_t>(group));
    for (int64_t lane = 0; lane < 4 && 4 * group + lane < count; ++lane)
      visit(4 * group + lane, bits.value[lane]);
  }
}

}  // namespace

float* Workspace::uniforms(int64_t count, float low, float high) {
  float* values = zeros(count);
  for_random_bits(count, [&](int64_t i, uint32_t bits) {
    values[i] = low + (high - low) * math::uniform(bits);
  });
  return values;
}

uint8_t* Workspace::bytes(int64_t count) {
  auto* values = allocate<uint8_t>(count);
  for_random_bits(count, [&](int64_t i, uint32_t bits) { values[i] = bits & 0xffu; });
  return values;
}

StepState* Workspace::state(int32_t rows) {
  auto* state = allocate<StepState>(1);
  *state = StepState{.rows = rows,
                     .learning_rate = 1e-3f,
                     .correction1 = 1.0f / (1.0f - 0.9f),
                     .correction2 = 1.0f / math::sqrt(1.0f - 0.999f)};
  return state;
}

}  // namespace elbo::bench
