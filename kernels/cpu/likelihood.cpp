#include "kernels/likelihood.hpp"

#include <utility>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const LikelihoodTerms& op) {
  return element_rows(static_cast<int64_t>(op.inputs.capacity()) * op.samples, op.columns);
}
Partition partition(const LikelihoodMean& op) {
  return element_rows(op.rows.capacity(), op.columns);
}

/// A likelihood with a cheaper way to add up than its terms one by one.
template <class L>
concept Summable = requires {
  typename L::template Sum<float>;
};

/// -log p of a row's first elements, in whole blocks; `done` becomes how many those are.
template <Summable L>
float sum_blocks(const float* x, const float* output, int32_t columns, int32_t& done) {
  // Neighbours go to the lanes of a register, and each lane sums a few of its own: spelt out, since
  // a loop within the loop would not vectorise.
  constexpr int kLanes = 16, kEach = 8, kBlock = kLanes * kEach;
  alignas(64) float sums[kLanes] = {};
  for (done = 0; done + kBlock <= columns; done += kBlock) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      typename L::template Sum<float> sum;
      const auto add = [&](int32_t c) {
        float parameter[L::parameters];
        for (int p = 0; p < L::parameters; ++p) parameter[p] = output[p * columns + c];
        sum.add(x[c], parameter);
      };
      [&]<int... kPlace>(std::integer_sequence<int, kPlace...>) {
        (add(done + kPlace * kLanes + lane), ...);
      }
      (std::make_integer_sequence<int, kEach>());
      sums[lane] += sum.nll();
    }
  }
  float nll = 0.0f;
  for (const float sum : sums) nll += sum;
  return nll;
}

template <class L, bool kGradients>
void terms_of_row(const LikelihoodTerms& op, int64_t row, float scale) {
  const int32_t columns = op.columns;
  const float* x = op.x + row / op.samples * columns;
  float* output = op.output + row * L::parameters * columns;
  const float log_variance = op.log_variance == nullptr ? 0.0f : *op.log_variance;
  float nll = 0.0f, grad_log_variance = 0.0f;
  int32_t done = 0;
  if constexpr (!kGradients && Summable<L>) nll = sum_blocks<L>(x, output, columns, done);
#pragma omp simd reduction(+ : nll, grad_log_variance)
  for (int32_t c = done; c < columns; ++c) {
    float parameter[L::parameters];
    for (int p = 0; p < L::parameters; ++p) parameter[p] = output[p * columns + c];
    const auto terms = L::terms(x[c], parameter, log_variance);
    nll += terms.nll;
    if constexpr (kGradients) {
      grad_log_variance += terms.grad_log_variance;
      for (int p = 0; p < L::parameters; ++p)
        output[p * columns + c] = scale * terms.grad_output[p];
    }
  }
  op.nll[row] = nll;
  if (kGradients && op.grad_log_variance != nullptr)
    op.grad_log_variance[row] = scale * grad_log_variance;
}

}  // namespace

int tasks(const LikelihoodTerms& op) { return partition(op).tasks(); }

void run(const LikelihoodTerms& op, int task) {
  const int64_t active = static_cast<int64_t>(op.inputs.active()) * op.samples;
  const Range range = partition(op).range(task, active);
  const float scale = op.weight / static_cast<float>(active);
  op.likelihood.visit([&](auto likelihood) {
    using L = decltype(likelihood);
    for (int64_t row = range.begin; row < range.end; ++row) {
      if (op.gradients)
        terms_of_row<L, true>(op, row,
                              op.row_weight == nullptr ? scale : scale * op.row_weight[row]);
      else
        terms_of_row<L, false>(op, row, scale);
    }
  });
}

int tasks(const LikelihoodMean& op) { return partition(op).tasks(); }

void run(const LikelihoodMean& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  op.likelihood.visit([&](auto likelihood) {
    using L = decltype(likelihood);
    for (int64_t row = range.begin; row < range.end; ++row) {
      const float* output = op.output + row * L::parameters * op.columns;
      float* mean = op.mean + row * op.columns;
#pragma omp simd
      for (int32_t c = 0; c < op.columns; ++c) mean[c] = L::Mean::value(output[c]);
    }
  });
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
