#include <algorithm>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/noise.hpp"
#include "kernels/math/permutation.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const RandomFill& op) { return {op.count, 64 * kNoiseColumns}; }
Partition partition(const PermutationFill& op) { return {op.count, 16384}; }

void fill_block(const RandomFill& op, int64_t begin, int columns) {
  const uint64_t group = op.first_group + static_cast<uint64_t>(begin) / 4;
  const int groups = groups_for(columns);
  alignas(64) float normal[kNoiseColumns];
  alignas(64) uint32_t block[kNoiseColumns];
  if (op.distribution == Distribution::normal) {
    normals(op.seed, op.subsequence, group, groups, normal);
    std::copy(normal, normal + columns, static_cast<float*>(op.out) + begin);
    return;
  }
  bits(op.seed, op.subsequence, group, groups, block);
  if (op.distribution == Distribution::bits)
    std::copy(block, block + columns, static_cast<uint32_t*>(op.out) + begin);
  else
    std::transform(block, block + columns, static_cast<float*>(op.out) + begin, math::uniform);
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
