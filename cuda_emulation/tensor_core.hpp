// The arithmetic of tensor cores, shared by fibers and the PTX interpreter.
#pragma once

#include <array>
#include <cstdint>

namespace elbo::cuda::emulation {

/// One lane's registers of an mma.
struct MmaFragments {
  float d[4];     // accumulator: the product is added to it
  uint32_t a[4];  // a and b hold the bits of the operands
  uint32_t b[2];
};

using MmaWarp = std::array<MmaFragments*, 32>;

/// mma.m16n8k8 of tf32 and mma.m16n8k16 of bf16: d += a b. Truncates operands to their type,
/// multiplies in float (exact except for overflow and underflow), adds d and the products in order
/// of k in double, and rounds once. The hardware's order of additions and intermediate precision
/// are not documented and differ, so a GPU agrees within a bound, not bitwise.
void mma_tf32(const MmaWarp& lanes);
void mma_bf16(const MmaWarp& lanes);

/// cvt.rna.tf32.f32. CUDA does not specify the result for NaN; here it is a quiet NaN whose low 13
/// bits are zero.
uint32_t to_tf32(float x);

}  // namespace elbo::cuda::emulation
