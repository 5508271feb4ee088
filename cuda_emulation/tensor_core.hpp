// The arithmetic of tensor cores, for fibers and PTX alike.
#pragma once

#include <array>
#include <cstdint>

namespace elbo::cuda::emulation {

/// One lane's registers of an mma.
struct MmaFragments {
  float d[4];     // the result is added to it
  uint32_t a[4];  // bits
  uint32_t b[2];
};

using MmaWarp = std::array<MmaFragments*, 32>;

/// mma.m16n8k8 of tf32 and mma.m16n8k16 of bf16: d += a b. Truncates operands to their type,
/// multiplies in float (exact but for over- and underflow), adds d and the products in order of k
/// in double and rounds once. The hardware's order of additions and intermediate precision differ
/// and are not documented: a GPU agrees within a bound, not to the bit.
void mma_tf32(const MmaWarp& lanes);
void mma_bf16(const MmaWarp& lanes);

/// cvt.rna.tf32.f32. CUDA leaves open which NaN it makes of NaN; here it is quiet, with the low 13
/// bits zero.
uint32_t to_tf32(float x);

}  // namespace elbo::cuda::emulation
