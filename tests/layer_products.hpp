// A dense layer's products on the CPU, by every way that this processor has, against sums in
// double.
#pragma once

#include <cmath>
#include <ostream>
#include <vector>

#include "kernels/math/bfloat16.hpp"
#include "tests/compare.hpp"
#include "tests/reversed_executable.hpp"
#include "tests/workspace.hpp"

namespace elbo {

/// A build of the execution, and products of its.
struct Way {
  const cpu::Execution& execution;
  const cpu::Bfloat16Kernels& kernels;
};

inline std::vector<Way> ways() {
  std::vector<Way> all = {{cpu::baseline::execution, cpu::baseline::bfloat16_kernels}};
#if defined(__x86_64__)
  const cpu::Execution& best = cpu::best_execution();
  if (&best != &cpu::baseline::execution)
    all.push_back({cpu::avx2::execution, cpu::avx2::bfloat16_kernels});
  if (&best == &cpu::avx512::execution)
    for (const cpu::Bfloat16Kernels* kernels : cpu::usable_bfloat16_kernels())
      all.push_back({best, *kernels});
#endif
  return all;
}

struct LayerShape {
  int32_t capacity, active, in, out;
};

inline std::ostream& operator<<(std::ostream& out, const LayerShape& s) {
  return out << s.active << " of " << s.capacity << " rows, " << s.in << " to " << s.out;
}

/// The three products of a dense layer, the bias zero and no activation in the way.
struct Products {
  std::vector<float> y, grad_x, grad_weight, grad_bias;
};

class DenseLayer {
 public:
  DenseLayer(const LayerShape& shape, Precision precision)
      : s(shape),
        precision_(precision),
        x(uniform_floats(size(s.capacity, s.in), -1.0f, 1.0f, 1)),
        weight(uniform_floats(size(s.out, s.in), -1.0f, 1.0f, 2)),
        grad(uniform_floats(size(s.capacity, s.out), -1.0f, 1.0f, 3)) {}

  Products run(const Way& way, bool accumulate = false) const {
    StepState state;
    state.rows = s.active;
    const Rows rows = {&state, s.capacity, 1};
    const std::vector<float> bias(static_cast<size_t>(s.out));
    Products p = {
        std::vector<float>(size(s.capacity, s.out)), std::vector<float>(size(s.capacity, s.in)),
        std::vector<float>(size(s.out, s.in), 0.5f), std::vector<float>(bias.size(), 0.5f)};
    ReversedExecutable(way.execution, way.kernels,
                       {DenseForward{.rows = rows,
                                     .in = s.in,
                                     .out = s.out,
                                     .activation = {},
                                     .x = x.data(),
                                     .weight = weight.data(),
                                     .bias = bias.data(),
                                     .y = p.y.data(),
                                     .preactivation = {},
                                     .precision = precision_},
                        DenseBackwardInput{.rows = rows,
                                           .in = s.in,
                                           .out = s.out,
                                           .activation = {},
                                           .grad_y = grad.data(),
                                           .weight = weight.data(),
                                           .saved = {},
                                           .grad_x = p.grad_x.data(),
                                           .precision = precision_},
                        DenseBackwardWeights{.rows = rows,
                                             .in = s.in,
                                             .out = s.out,
                                             .grad_y = grad.data(),
                                             .x = x.data(),
                                             .grad_weight = p.grad_weight.data(),
                                             .grad_bias = p.grad_bias.data(),
                                             .precision = precision_,
                                             .accumulate = accumulate}})
        .run();
    return p;
  }

  void expect(const Products& p, float before) const {
    const auto m = s.active, n = s.out, k = s.in;
    expect_sums(p.y, m, n, k,
                [&](int i, int j, int l) { return product(x, i * k + l, weight, j * k + l); });
    expect_sums(p.grad_x, m, k, n,
                [&](int i, int j, int l) { return product(grad, i * n + l, weight, l * k + j); });
    expect_sums(
        p.grad_weight, n, k, m,
        [&](int i, int j, int l) { return product(grad, l * n + i, x, l * k + j); }, before);
  }

 private:
  static size_t size(int32_t rows, int32_t columns) {
    return static_cast<size_t>(rows) * static_cast<size_t>(columns);
  }
  float rounded(float number) const {
    return precision_ == Precision::bf16 ? math::to_float(math::to_bfloat16(number)) : number;
  }
  double product(const std::vector<float>& a, int i, const std::vector<float>& b, int j) const {
    return static_cast<double>(rounded(a[static_cast<size_t>(i)])) *
           rounded(b[static_cast<size_t>(j)]);
  }
  /// Sums of factors that are rounded once, and nothing else: within the rounding of a float sum.
  template <class Term>
  static void expect_sums(std::vector<float> got, int rows, int columns, int depth, Term term,
                          float before = 0.0f) {
    got.resize(size(rows, columns));
    std::vector<float> want;
    std::vector<double> bounds;
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        double sum = before, magnitude = std::abs(sum);
        for (int l = 0; l < depth; ++l) {
          sum += term(i, j, l);
          magnitude += std::abs(term(i, j, l));
        }
        want.push_back(static_cast<float>(sum));
        bounds.push_back(sum_bound(depth + 1, magnitude));
      }
    EXPECT_TRUE(within(got, want, bounds));
  }

  LayerShape s;
  Precision precision_;
  std::vector<float> x, weight, grad;
};

}  // namespace elbo
