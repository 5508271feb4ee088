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

/// epsilon of a task's samples, one after another: what is drawn serves several samples where they
/// have few columns, which would not fill the vectors.
template <class LatentOp>
class Epsilon {
 public:
  Epsilon(const LatentOp& op, const Range& inputs) : op_(op), end_(inputs.end * op.samples) {}

  /// Columns first .. first + columns - 1 (first a multiple of kNoiseColumns) of an input's sample.
  const float* at(int64_t input, int sample, int first, int columns) {
    const int64_t number = input * op_.samples + sample;
    if (op_.epsilon.buffer != nullptr) return op_.epsilon.buffer + number * op_.latent + first;
    const int quads = groups_for(columns);
    if (first != column_ || number < begin_ || number >= drawn_end_) draw(number, first, quads);
    return block_ + (number - begin_) * 4 * quads;
  }

 private:
  void draw(int64_t number, int first, int quads) {
    const bool whole = op_.latent <= kNoiseColumns;
    begin_ = number;
    drawn_end_ = whole ? std::min<int64_t>(end_, begin_ + kNoiseGroups / quads) : begin_ + 1;
    column_ = first;
    const EpsilonSource& source = op_.epsilon;
    const StepState& state = *op_.inputs.state;
    const auto quads_of_sample = static_cast<uint32_t>(groups_for(op_.latent));
    alignas(64) uint64_t groups[kNoiseGroups] = {};
    int count = 0;
    for (int64_t n = begin_; n < drawn_end_; ++n) {
      const auto sample =
          static_cast<uint32_t>(state.first_sample) + static_cast<uint32_t>(n % op_.samples);
      const uint32_t quad = sample * quads_of_sample + static_cast<uint32_t>(first) / 4;
      for (int q = 0; q < quads; ++q)
        groups[count++] =
            math::noise_group(source.row_ids[n / op_.samples], quad + static_cast<uint32_t>(q));
    }
    normals_of(
        source.seed, math::noise_subsequence(source.stream, state.step), count,
        [&groups](int i) { return groups[i]; }, block_);
  }

  const LatentOp& op_;
  const int64_t end_;                       // of the samples to come
  int64_t begin_ = 0, drawn_end_ = 0;       // the samples in the block
  int column_ = 0;                          // their first column
  alignas(64) float block_[kNoiseColumns];  // [samples, groups of four columns]
};

}  // namespace

int tasks(const LatentForward& op) { return partition(op).tasks(); }

void run(const LatentForward& op, int task) {
  const Range range = partition(op).range(task, op.inputs.active());
  Epsilon epsilon(op, range);
  alignas(64) float deviation[kNoiseColumns];
  for (int64_t b = range.begin; b < range.end; ++b) {
    const float* mu = op.posterior.mu + b * op.posterior.mu_stride;
    const float* logvar = op.posterior.logvar + b * op.posterior.logvar_stride;
    for (int first = 0; first < op.latent; first += kNoiseColumns) {
      const int columns = std::min(kNoiseColumns, op.latent - first);
#pragma omp simd
      for (int c = 0; c < columns; ++c) deviation[c] = math::posterior_deviation(logvar[first + c]);
      for (int l = 0; l < op.samples; ++l) {
        float* z = op.z.f32() + (b * op.samples + l) * op.latent + first;
        const float* eps = epsilon.at(b, l, first, columns);
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
void backward_of_input(const LatentBackward& op, int64_t b, Epsilon<LatentBackward>& epsilon) {
  const StepState& state = *op.inputs.state;
  const float beta = state.beta / static_cast<float>(state.rows);
  const float* mu = op.posterior.mu + b * op.posterior.mu_stride;
  const float* logvar = op.posterior.logvar + b * op.posterior.logvar_stride;
  float* grad_mu = op.grad_mu.f32() + b * op.grad_mu_stride;
  float* grad_logvar = op.grad_logvar.f32() + b * op.grad_logvar_stride;
  alignas(64) float deviation[kNoiseColumns], kl_weight[kNoiseColumns];
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
      const float* eps = epsilon.at(b, l, first, columns);
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
  Epsilon epsilon(op, range);
  for (int64_t b = range.begin; b < range.end; ++b) {
    if (op.importance != nullptr)
      backward_of_input<true>(op, b, epsilon);
    else
      backward_of_input<false>(op, b, epsilon);
  }
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
