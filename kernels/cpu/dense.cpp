// Dense layers: the products of kernels/cpu/product.hpp, with bias, activation and derivative
// applied tile by tile.
#include "kernels/dense.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/product.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Range active_rows(const Range& range, int64_t active) {
  return {range.begin, std::min(range.end, active)};
}

constexpr auto kNothing = [](const Tile&) {};

}  // namespace

std::vector<Stage> stages(const DenseForward& op, int threads) {
  const ProductTasks tasks(op.rows.capacity(), op.out, op.in, threads);
  return {{tasks.count(), [op, tasks](int task) {
             const Factor x = {op.x.f32(), op.in, 1}, weight = {op.weight.f32(), op.in, 1};
             const Range rows = active_rows(tasks.row_range(task), op.rows.active());
             op.activation.visit([&](auto activation) {
               using Activation = decltype(activation);
               multiply(x, weight, op.out, op.in, rows, tasks.panel_range(task), kNothing,
                        [&](const Tile& tile) {
                          const float* bias = op.bias + tile.column;
                          const int columns = tile.columns;
                          tile.for_each_row([&](int64_t row, int64_t column, const float* sums) {
                            const int64_t place = row * op.out + column;
                            float* y = op.y.f32() + place;
                            if (!op.preactivation) {
#pragma omp simd
                              for (int c = 0; c < columns; ++c)
                                y[c] = Activation::value(sums[c] + bias[c]);
                              return;
                            }
                            float* pre = op.preactivation.f32() + place;
#pragma omp simd
                            for (int c = 0; c < columns; ++c) {
                              const float value = sums[c] + bias[c];
                              pre[c] = value;
                              y[c] = Activation::value(value);
                            }
                          });
                        });
             });
           }}};
}

std::vector<Stage> stages(const DenseBackwardInput& op, int threads) {
  const ProductTasks tasks(op.rows.capacity(), op.in, op.out, threads);
  return {
      {tasks.count(), [op, tasks](int task) {
         const Factor grad_y = {op.grad_y.f32(), op.out, 1}, weight = {op.weight.f32(), 1, op.in};
         const Range rows = active_rows(tasks.row_range(task), op.rows.active());
         op.activation.visit([&](auto activation) {
           using Activation = decltype(activation);
           multiply(grad_y, weight, op.in, op.out, rows, tasks.panel_range(task), kNothing,
                    [&](const Tile& tile) {
                      const int columns = tile.columns;
                      tile.for_each_row([&](int64_t row, int64_t column, const float* sums) {
                        const int64_t place = row * op.in + column;
                        float* grad_x = op.grad_x.f32() + place;
                        if (!op.saved) {
                          std::copy(sums, sums + columns, grad_x);
                          return;
                        }
                        const float* saved = op.saved.f32() + place;
#pragma omp simd
                        for (int c = 0; c < columns; ++c)
                          grad_x[c] = sums[c] * Activation::derivative(saved[c]);
                      });
                    });
         });
       }}};
}

std::vector<Stage> stages(const DenseBackwardWeights& op, int threads) {
  const ProductTasks tasks(op.out, op.in, op.rows.capacity(), threads);
  constexpr int64_t kBiasColumns = 128;
  const Partition biases = {op.out, kBiasColumns};
  return {{tasks.count() + biases.tasks(), [op, tasks, biases](int task) {
             const int rows = op.rows.active();
             if (task >= tasks.count()) {
               const Range range = biases.range(task - tasks.count());
               const auto columns = static_cast<int>(range.end - range.begin);
               float* grad_bias = op.grad_bias + range.begin;
               if (!op.accumulate) std::fill(grad_bias, grad_bias + columns, 0.0f);
               for (int64_t r = 0; r < rows; ++r) {
                 const float* grad_y = op.grad_y.f32() + r * op.out + range.begin;
#pragma omp simd
                 for (int c = 0; c < columns; ++c) grad_bias[c] += grad_y[c];
               }
               return;
             }
             const Factor grad_y = {op.grad_y.f32(), 1, op.out}, x = {op.x.f32(), 1, op.in};
             multiply(grad_y, x, op.in, rows, tasks.row_range(task), tasks.panel_range(task),
                      kNothing, [&](const Tile& tile) {
                        tile.for_each_row([&](int64_t row, int64_t column, const float* sums) {
                          float* grad = op.grad_weight + row * op.in + column;
                          if (op.accumulate) {
#pragma omp simd
                            for (int c = 0; c < tile.columns; ++c) grad[c] += sums[c];
                          } else {
                            std::copy(sums, sums + tile.columns, grad);
                          }
                        });
                      });
           }}};
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
