// The gradients of a dense layer's weights and biases. The caller uses the sums while they are in
// the nearest cache, to store them or to update the weights.
#pragma once

#include <algorithm>

#include "kernels/cpu/arithmetic.hpp"
#include "kernels/dense.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {

class WeightGradient {
 public:
  WeightGradient(const DenseBackwardWeights& op, const Resources& resources)
      : op_(op),
        arithmetic_(op.precision, resources),
        weights_(op.out, op.in, op.rows.capacity(), resources.threads, ProductTasks::By::rows),
        biases_{op.out, kBiases} {}

  const DenseBackwardWeights& op() const { return op_; }
  int tasks() const { return weights_.count() + biases_.tasks(); }

  /// Calls use(first, sums, count) with gradients of contiguous weights, and use_biases with
  /// gradients of biases.
  template <class Use, class UseBiases>
  void run(int task, Use&& use, UseBiases&& use_biases) const {
    if (task < weights_.count())
      sum_weights(task, use);
    else
      sum_biases(task - weights_.count(), use_biases);
  }

 private:
  static constexpr int kBiases = 128;  // per task
  // Rows of a batch at a time: operands are read across their lines, and the nearest cache and the
  // TLB hold this many lines.
  static constexpr int64_t kMostRows = 256;

  template <class Use>
  void sum_weights(int task, Use& use) const {
    const Factor grad_y = {op_.grad_y.f32(), 1, op_.out}, x = {op_.x.f32(), 1, op_.in};
    arithmetic_.visit([&](const auto& product) {
      multiply(product, grad_y, x, op_.in, op_.rows.active(), weights_.row_range(task),
               weights_.panel_range(task), kMostRows, [&](const Tile& tile) {
                 tile.for_each_row([&](int64_t row, const float* sums) {
                   use(row * op_.in + tile.column, sums, tile.columns);
                 });
               });
    });
  }

  template <class UseBiases>
  void sum_biases(int task, UseBiases& use_biases) const {
    const Range range = biases_.range(task);
    const auto columns = static_cast<int>(range.end - range.begin);
    alignas(64) float sums[kBiases] = {};
    for (int64_t r = 0; r < op_.rows.active(); ++r) {
      const float* grad_y = op_.grad_y.f32() + r * op_.out + range.begin;
#pragma omp simd
      for (int c = 0; c < columns; ++c) sums[c] += grad_y[c];
    }
    use_biases(range.begin, sums, columns);
  }

  DenseBackwardWeights op_;
  Arithmetic arithmetic_;
  ProductTasks weights_;
  Partition biases_;
};

}  // namespace elbo::cpu::ELBO_CPU_ISA
