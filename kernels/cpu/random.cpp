#include <algorithm>
#include <cstring>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/noise.hpp"
#include "kernels/math/permutation.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const RandomFill& op) { return {op.count, 64 * kNoiseColumns}; }
Partition partition(const PermutationFill& op) { return {op.count, 16384}; }

void fill_block(const RandomFill& op, int64_t begin, int columns) {
  alignas(64) uint32_t block[kNoiseColumns];
  const uint64_t group = op.first_group + static_cast<uint64_t>(begin) / 4;
  if (op.distribution == Distribution::normal) {
    alignas(64) float normal[kNoiseColumns];
    normals(op.seed, op.subsequence, group, groups_for(columns), normal);
    std::memcpy(static_cast<float*>(op.out) + begin, normal, sizeof(float) * columns);
    return;
  }
  bits(op.seed, op.subsequence, group, groups_for(columns), block);
  if (op.distribution == Distribution::bits) {
    std::memcpy(static_cast<uint32_t*>(op.out) + begin, block, sizeof(uint32_t) * columns);
    return;
  }
  float* out = static_cast<float*>(op.out) + begin;
  for (int c = 0; c < columns; ++c) out[c] = math::uniform(block[c]);
}

}  // namespace

int tasks(const RandomFill& op) { return partition(op).tasks(); }

void run(const RandomFill& op, int task) {
  const Range range = partition(op).range(task);
  for (int64_t begin = range.begin; begin < range.end; begin += kNoiseColumns)
    fill_block(op, begin, static_cast<int>(std::min<int64_t>(kNoiseColumns, range.end - begin)));
}

int tasks(const PermutationFill& op) { return partition(op).tasks(); }

void run(const PermutationFill& op, int task) {
  const Range range = partition(op).range(task);
  const math::Permutation permutation(op.domain, op.seed, op.epoch);
  for (int64_t i = range.begin; i < range.end; ++i)
    op.out[i] = permutation(op.first + static_cast<uint32_t>(i));
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
