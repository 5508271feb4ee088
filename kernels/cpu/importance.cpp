#include "kernels/importance.hpp"

#include "kernels/cpu/execution.hpp"
#include "kernels/math/elementary.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

Partition partition(const ImportanceWeights& op) {
  return element_rows(op.inputs.capacity(), 4 * static_cast<int64_t>(op.samples));
}

/// Over the samples of one input: the largest value v of beta * log_ratio - nll, and the sum of
/// e^(v - largest).
struct Exponentials {
  float largest;
  float sum;
};

Exponentials exponentials(const float* nll, const float* log_ratio, int32_t samples, float beta) {
  float largest = beta * log_ratio[0] - nll[0], sum = 0.0f;
  for (int32_t l = 1; l < samples; ++l) largest = math::max(largest, beta * log_ratio[l] - nll[l]);
#pragma omp simd reduction(+ : sum)
  for (int32_t l = 0; l < samples; ++l) sum += math::exp((beta * log_ratio[l] - nll[l]) - largest);
  return {largest, sum};
}

}  // namespace

int tasks(const ImportanceWeights& op) { return partition(op).tasks(); }

void run(const ImportanceWeights& op, int task) {
  const Range range = partition(op).range(task, op.inputs.active());
  const float beta = op.inputs.state->beta;
  const auto samples = static_cast<float>(op.samples);
  for (int64_t b = range.begin; b < range.end; ++b) {
    const float* nll = op.nll + b * op.samples;
    const float* log_ratio = op.log_ratio + b * op.samples;
    const Exponentials w = exponentials(nll, log_ratio, op.samples, 1.0f);
    op.bound[b] = w.largest + (math::log_exp_sum(w.sum) - math::log(samples));
    if (op.weight == nullptr) continue;
    float* weight = op.weight + b * op.samples;
    const Exponentials v = exponentials(nll, log_ratio, op.samples, beta);
    const float scale = samples / v.sum;
#pragma omp simd
    for (int32_t l = 0; l < op.samples; ++l)
      weight[l] = scale * math::exp((beta * log_ratio[l] - nll[l]) - v.largest);
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
