#include "kernels/math/posterior.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/noise.hpp"
#include "kernels/latent.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

template <class LatentOp>
Partition partition(const LatentOp& op) {
  return element_rows(op.inputs.capacity(), 4 * static_cast<int64_t>(op.latent) * op.samples);
}

/// epsilon of columns first .. first+columns-1 (first a multiple of 4) for one input's sample:
/// drawn into `block`, or the place in the given buffer.
template <class LatentOp>
const float* epsilon(const LatentOp& op, int64_t input, int sample, int first, int columns,
                     float* block) {
  const EpsilonSource& source = op.epsilon;
  if (source.buffer != nullptr)
    return source.buffer + (input * op.samples + sample) * op.latent + first;
  const uint32_t quads = static_cast<uint32_t>(groups_for(op.latent));
  const uint32_t number =
      static_cast<uint32_t>(op.inputs.state->first_sample) + static_cast<uint32_t>(sample);
  const uint32_t quad = number * quads + static_cast<uint32_t>(first) / 4;
  normals(source.seed, math::noise_subsequence(source.stream, op.inputs.state->step),
          math::noise_group(source.row_ids[input], quad), groups_for(columns), block);
  return block;
}

}  // namespace

int tasks(const LatentForward& op) { return partition(op).tasks(); }

void run(const LatentForward& op, int task) {
  const Range range = partition(op).range(task, op.inputs.active());
  alignas(64) float block[kNoiseColumns], deviation[kNoiseColumns];
  for (int64_t b = range.begin; b < range.end; ++b) {
    const float* mu = op.posterior.mu + b * op.posterior.mu_stride;
    const float* logvar = op.posterior.logvar + b * op.posterior.logvar_stride;
    for (int first = 0; first < op.latent; first += kNoiseColumns) {
      const int columns = std::min(kNoiseColumns, op.latent - first);
#pragma omp simd
      for (int c = 0; c < columns; ++c) deviation[c] = math::posterior_deviation(logvar[first + c]);
      for (int l = 0; l < op.samples; ++l) {
        float* z = op.z.f32() + (b * op.samples + l) * op.latent + first;
        const float* eps = epsilon(op, b, l, first, columns, block);
#pragma omp simd
        for (int c = 0; c < columns; ++c) z[c] = math::fma(deviation[c], eps[c], mu[first + c]);
        if (op.log_ratio == nullptr) continue;
        float log_ratio = 0.0f;
#pragma omp simd reduction(+ : log_ratio)
        for (int c = 0; c < columns; ++c)
          log_ratio += math::log_prior_ratio(z[c], logvar[first + c], eps[c]);
        float& sum = op.log_ratio[b * op.samples + l];
        sum = first == 0 ? log_ratio : sum + log_ratio;
      }
    }
    if (op.kl == nullptr) continue;
    float kl = 0.0f;
#pragma omp simd reduction(+ : kl)
    for (int c = 0; c < op.latent; ++c) kl += math::gaussian_kl(mu[c], logvar[c]);
    op.kl[b] = kl;
  }
}

int tasks(const KlWeights&) { return 1; }

void run(const KlWeights& op, int) {
  const StepState& state = *op.inputs.state;
  alignas(64) double sum[kNoiseColumns];
  double total = 0.0;
  for (int first = 0; first < op.latent; first += kNoiseColumns) {
    const int columns = std::min(kNoiseColumns, op.latent - first);
    std::fill(sum, sum + columns, 0.0);
    for (int64_t b = 0; b < op.inputs.active(); ++b) {
      const float* mu = op.posterior.mu + b * op.posterior.mu_stride + first;
      const float* logvar = op.posterior.logvar + b * op.posterior.logvar_stride + first;
#pragma omp simd
      for (int c = 0; c < columns; ++c) sum[c] += math::gaussian_kl(mu[c], logvar[c]);
    }
    for (int c = 0; c < columns; ++c) {
      const double kl = sum[c] / state.rows;
      total += kl;
      op.weight[first + c] = math::free_bits_weight(kl, op.free_bits, state.beta);
    }
  }
  if (op.capacity)
    std::fill(op.weight, op.weight + op.latent,
              math::capacity_weight(total, state.capacity, state.beta));
}

namespace {

/// One input's gradient; kImportance: op.importance is there.
template <bool kImportance>
void backward_of_input(const LatentBackward& op, int64_t b) {
  const StepState& state = *op.inputs.state;
  const float beta = state.beta / static_cast<float>(state.rows);
  const float* mu = op.posterior.mu + b * op.posterior.mu_stride;
  const float* logvar = op.posterior.logvar + b * op.posterior.logvar_stride;
  float* grad_mu = op.grad_mu.f32() + b * op.grad_mu_stride;
  float* grad_logvar = op.grad_logvar.f32() + b * op.grad_logvar_stride;
  alignas(64) float block[kNoiseColumns], deviation[kNoiseColumns], kl_weight[kNoiseColumns];
  alignas(64) float grad_z[kNoiseColumns], grad_z_epsilon[kNoiseColumns];
  for (int first = 0; first < op.latent; first += kNoiseColumns) {
    const int columns = std::min(kNoiseColumns, op.latent - first);
    std::fill(grad_z, grad_z + columns, 0.0f);
    std::fill(grad_z_epsilon, grad_z_epsilon + columns, 0.0f);
    if constexpr (kImportance) {
#pragma omp simd
      for (int c = 0; c < columns; ++c) deviation[c] = math::posterior_deviation(logvar[first + c]);
    }
    for (int l = 0; l < op.samples; ++l) {
      const int64_t row = b * op.samples + l;
      const float* eps = epsilon(op, b, l, first, columns, block);
      const float* given = op.grad_z + row * op.latent + first;
      float weight = 0.0f;
      if constexpr (kImportance)
        weight = beta * op.importance[row] / static_cast<float>(op.samples);
#pragma omp simd
      for (int c = 0; c < columns; ++c) {
        float grad = given[c];
        if constexpr (kImportance) {
          const float z = math::fma(deviation[c], eps[c], mu[first + c]);
          grad += math::importance_gradient_z(z, weight);
        }
        grad_z[c] += grad;
        grad_z_epsilon[c] = math::fma(grad, eps[c], grad_z_epsilon[c]);
      }
    }
    for (int c = 0; c < columns; ++c)
      kl_weight[c] =
          op.kl_weight == nullptr ? beta : op.kl_weight[first + c] / static_cast<float>(state.rows);
#pragma omp simd
    for (int c = 0; c < columns; ++c) {
      const float lv = logvar[first + c];
      const auto grad = kImportance
                            ? math::importance_gradient(lv, grad_z[c], grad_z_epsilon[c], beta)
                            : math::posterior_gradient(mu[first + c], lv, grad_z[c],
                                                       grad_z_epsilon[c], kl_weight[c]);
      grad_mu[first + c] = grad.mu;
      grad_logvar[first + c] = grad.logvar;
    }
  }
}

}  // namespace

int tasks(const LatentBackward& op) { return partition(op).tasks(); }

void run(const LatentBackward& op, int task) {
  const Range range = partition(op).range(task, op.inputs.active());
  for (int64_t b = range.begin; b < range.end; ++b) {
    if (op.importance != nullptr)
      backward_of_input<true>(op, b);
    else
      backward_of_input<false>(op, b);
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
