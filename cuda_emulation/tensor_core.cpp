#include "cuda_emulation/tensor_core.hpp"

#include <bit>
#include <cmath>

#include "cuda_emulation/default_floating_point.hpp"

namespace elbo::cuda::emulation {
namespace {

constexpr unsigned kRows = 16, kColumns = 8;
constexpr uint32_t kTf32Bits = 0xffffe000u;

template <unsigned depth>
struct Operands {
  float a[kRows][depth];
  float b[depth][kColumns];
};

template <unsigned depth>
void multiply_add(const Operands<depth>& operands, const MmaWarp& lanes) {
  for (unsigned lane = 0; lane < lanes.size(); ++lane) {
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      float& d = lanes[lane]->d[i];
      double sum = d;
      for (unsigned k = 0; k < depth; ++k) {
        const float product = operands.a[row][k] * operands.b[k][column];
        sum += product;
      }
      d = static_cast<float>(sum);
    }
  }
}

}  // namespace

void mma_tf32(const MmaWarp& lanes) {
  const DefaultFloatingPoint scope;
  Operands<8> operands;
  const auto value = [](uint32_t bits) { return std::bit_cast<float>(bits & kTf32Bits); };
  for (unsigned lane = 0; lane < lanes.size(); ++lane) {
    const unsigned group = lane / 4, member = lane % 4;
    const MmaFragments& own = *lanes[lane];
    for (unsigned i = 0; i < 4; ++i) {
      operands.a[group + 8 * (i % 2)][member + 4 * (i / 2)] = value(own.a[i]);
    }
    for (unsigned i = 0; i < 2; ++i) operands.b[member + 4 * i][group] = value(own.b[i]);
  }
  multiply_add(operands, lanes);
}

void mma_bf16(const MmaWarp& lanes) {
  const DefaultFloatingPoint scope;
  Operands<16> operands;
  const auto value = [](uint32_t pair, unsigned half) {
    return std::bit_cast<float>(half == 0 ? pair << 16 : pair & 0xffff0000u);
  };
  for (unsigned lane = 0; lane < lanes.size(); ++lane) {
    const unsigned group = lane / 4, member = lane % 4;
    const MmaFragments& own = *lanes[lane];
    for (unsigned half = 0; half < 2; ++half) {
      for (unsigned i = 0; i < 4; ++i) {
        operands.a[group + 8 * (i % 2)][2 * member + 8 * (i / 2) + half] = value(own.a[i], half);
      }
      for (unsigned i = 0; i < 2; ++i) {
        operands.b[2 * member + 8 * i + half][group] = value(own.b[i], half);
      }
    }
  }
  multiply_add(operands, lanes);
}

uint32_t to_tf32(float x) {
  constexpr uint32_t kQuiet = 0x00400000u, kHalfUnit = 0x00001000u;
  const auto bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return (bits | kQuiet) & kTf32Bits;
  // A carry from the mantissa into the exponent is correct, even if it yields infinity. Infinity
  // stays infinity, because its mantissa is 0.
  return (bits + kHalfUnit) & kTf32Bits;
}

}  // namespace elbo::cuda::emulation
