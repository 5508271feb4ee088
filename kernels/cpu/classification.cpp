#include "kernels/classification.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const CategoricalTerms& op) {
  return element_rows(op.rows.capacity(), 4 * static_cast<int64_t>(op.classes));
}

template <class Loss>
void terms_of_row(const CategoricalTerms& op, int64_t row, float scale) {
  float* logits = op.logits + row * op.classes;
  const int32_t label = op.labels[op.row_ids[row / op.rows.per_input]];
  int32_t best = 0;
  for (int32_t c = 1; c < op.classes; ++c)
    if (logits[c] > logits[best]) best = c;
  const float largest = logits[best];
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int32_t c = 0; c < op.classes; ++c) sum += math::exp(logits[c] - largest);
  const float log_sum = math::log_exp_sum(sum);

  const auto term = [&](int32_t c, float shift) {
    return math::class_term(logits[c] - largest - log_sum, c == label, shift);
  };
  float loss = 0.0f, shift = 0.0f;
#pragma omp simd reduction(+ : loss, shift)
  for (int32_t c = 0; c < op.classes; ++c) {
    const math::ClassTerm<float> t = term(c, 0.0f);
    loss += Loss::loss(t);
    shift = math::fma(t.p, t.p - t.target, shift);
  }
  op.loss[row] = loss;
  // A row whose logits are not finite has no best class.
  op.correct[row] = best == label && sum >= 1.0f ? 1.0f : 0.0f;
  if (!op.gradients) return;
#pragma omp simd
  for (int32_t c = 0; c < op.classes; ++c) logits[c] = scale * Loss::gradient(term(c, shift));
}

}  // namespace

int tasks(const CategoricalTerms& op) { return partition(op).tasks(); }

void run(const CategoricalTerms& op, int task) {
  const Range range = partition(op).range(task, op.rows.active());
  const float scale = op.weight / static_cast<float>(op.rows.active());
  op.loss_kind.visit([&](auto loss) {
    for (int64_t row = range.begin; row < range.end; ++row)
      terms_of_row<decltype(loss)>(op, row, scale);
  });
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
