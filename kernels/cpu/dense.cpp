// Dense layers: the products of kernels/cpu/product.hpp, with bias, activation and derivative
// applied to a tile of sums at a time.
#include "kernels/dense.hpp"

#include <algorithm>

#include "kernels/cpu/arithmetic.hpp"
#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/few_rows.hpp"
#include "kernels/cpu/weight_gradient.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

// A panel of this K still leaves room in a core's own cache.
constexpr int64_t kMostInner = 1024;

Range active_rows(const ProductTasks& tasks, int task, const Rows& rows) {
  const Range range = tasks.row_range(task);
  return {range.begin, std::min<int64_t>(range.end, rows.active())};
}

/// y = φ(sums + bias), and the pre-activation if requested.
template <class Activation>
void finish(const DenseForward& op, const Tile& tile) {
  const float* bias = op.bias + tile.column;
  tile.for_each_row([&](int64_t row, const float* sums) {
    const int64_t place = row * op.out + tile.column;
    float* y = op.y.f32() + place;
    if (!op.preactivation) {
#pragma omp simd
      for (int c = 0; c < tile.columns; ++c) y[c] = Activation::value(sums[c] + bias[c]);
      return;
    }
    float* preactivation = op.preactivation.f32() + place;
#pragma omp simd
    for (int c = 0; c < tile.columns; ++c) {
      const float value = sums[c] + bias[c];
      preactivation[c] = value;
      y[c] = Activation::value(value);
    }
  });
}

/// grad_x = sums ∘ φ'(saved)
template <class Activation>
void finish(const DenseBackwardInput& op, const Tile& tile) {
  tile.for_each_row([&](int64_t row, const float* sums) {
    const int64_t place = row * op.in + tile.column;
    float* grad_x = op.grad_x.f32() + place;
    if (!op.saved) {
      std::copy(sums, sums + tile.columns, grad_x);
      return;
    }
    const float* saved = op.saved.f32() + place;
#pragma omp simd
    for (int c = 0; c < tile.columns; ++c) grad_x[c] = sums[c] * Activation::derivative(saved[c]);
  });
}

/// The product of the lines of both operands, with the op's epilogue.
template <class O>
std::vector<Stage> product_stage(const O& op, const Factor& a, const Factor& b, int32_t columns,
                                 int32_t inner, const Resources& resources) {
  const ProductTasks tasks(op.rows.capacity(), columns, inner, resources.threads,
                           ProductTasks::By::columns);
  const bool few_rows =
      op.precision != Precision::bf16 && FewRows::suit(op.rows.capacity(), inner, b);
  return {{tasks.count(), [=, arithmetic = Arithmetic(op.precision, resources)](int task) {
             op.activation.visit([&](auto activation) {
               const Range rows = active_rows(tasks, task, op.rows);
               const Range panels = tasks.panel_range(task);
               const auto finished = [&](const Tile& tile) {
                 finish<decltype(activation)>(op, tile);
               };
               if (few_rows) return FewRows::multiply(a, b, columns, inner, rows, panels, finished);
               arithmetic.visit([&](const auto& product) {
                 multiply(product, a, b, columns, inner, rows, panels, kMostInner, finished);
               });
             });
           }}};
}

}  // namespace

std::vector<Stage> stages(const DenseForward& op, const Resources& resources) {
  return product_stage(op, {op.x.f32(), op.in, 1}, {op.weight.f32(), op.in, 1}, op.out, op.in,
                       resources);
}

std::vector<Stage> stages(const DenseBackwardInput& op, const Resources& resources) {
  return product_stage(op, {op.grad_y.f32(), op.out, 1}, {op.weight.f32(), 1, op.in}, op.in, op.out,
                       resources);
}

std::vector<Stage> stages(const DenseBackwardWeights& op, const Resources& resources) {
  const WeightGradient gradient(op, resources);
  return {{gradient.tasks(), [gradient](int task) {
             const bool accumulate = gradient.op().accumulate;
             const auto into = [&](float* gradients) {
               return [=](int64_t first, const float* sums, int count) {
                 float* place = gradients + first;
                 if (!accumulate) {
                   std::copy(sums, sums + count, place);
                   return;
                 }
#pragma omp simd
                 for (int c = 0; c < count; ++c) place[c] += sums[c];
               };
             };
             gradient.run(task, into(gradient.op().grad_weight), into(gradient.op().grad_bias));
           }}};
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
