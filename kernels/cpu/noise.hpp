// Runs of consecutive noise groups, vectorised over groups.
#pragma once

#include <algorithm>

#include "kernels/cpu/vector.hpp"
#include "kernels/math/philox.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

inline constexpr int kNoiseGroups = 64;
inline constexpr int kNoiseColumns = 4 * kNoiseGroups;

/// Groups of a vector of 32-bit lanes. Whole vectors of groups are drawn and some thrown away: a
/// sample of 50 codes has 13 groups, which one by one would take as long as several vectors.
inline int whole_vectors(int groups) { return (groups + kLanes - 1) / kLanes * kLanes; }

/// out[4*i .. 4*i+3] = the normals of group group_of(i), for i < groups <= kNoiseGroups; group_of
/// is asked for whole vectors of groups.
template <class GroupOf>
inline void normals_of(uint64_t seed, uint64_t subsequence, int groups, GroupOf group_of,
                       float* out) {
  float lane[4][kNoiseGroups];
  const int drawn = whole_vectors(groups);
#pragma omp simd
  for (int i = 0; i < drawn; ++i) {
    const math::Float4 n = math::normal4(seed, subsequence, group_of(i));
    lane[0][i] = n.value[0];
    lane[1][i] = n.value[1];
    lane[2][i] = n.value[2];
    lane[3][i] = n.value[3];
  }
  for (int i = 0; i < groups; ++i)
    for (int l = 0; l < 4; ++l) out[4 * i + l] = lane[l][i];
}

/// The same for the groups from `first` on.
inline void normals(uint64_t seed, uint64_t subsequence, uint64_t first, int groups, float* out) {
  normals_of(
      seed, subsequence, groups, [first](int i) { return first + static_cast<uint64_t>(i); }, out);
}

/// The same with those groups' raw integers.
inline void bits(uint64_t seed, uint64_t subsequence, uint64_t first, int groups, uint32_t* out) {
  uint32_t lane[4][kNoiseGroups];
#pragma omp simd
  for (int i = 0; i < groups; ++i) {
    const math::Bits4 b = math::philox4x32(seed, subsequence, first + static_cast<uint64_t>(i));
    lane[0][i] = b.value[0];
    lane[1][i] = b.value[1];
    lane[2][i] = b.value[2];
    lane[3][i] = b.value[3];
  }
  for (int i = 0; i < groups; ++i)
    for (int l = 0; l < 4; ++l) out[4 * i + l] = lane[l][i];
}

inline int groups_for(int columns) { return (columns + 3) / 4; }

}  // namespace elbo::cpu::ELBO_CPU_ISA
