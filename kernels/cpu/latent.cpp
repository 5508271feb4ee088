#include "kernels/math/posterior.hpp"

#include <algorithm>

#include "kernels/cpu/execution.hpp"
#include "kernels/cpu/noise.hpp"
#include "kernels/cpu/row_block.hpp"
#include "kernels/latent.hpp"

namespace elbo::cpu::ELBO_CPU_ISA {
namespace {

template <class LatentOp>
Partition partition(const LatentOp& op) {
  return element_rows(op.inputs.capacity(), 4 * static_cast<int64_t>(op.latent) * op.samples);
}

/// Parameters of the posterior for several inputs.
struct Posterior {
  Block mu, logvar;

  void read(const PosteriorView& view, const Range& inputs, int first, const Layout& layout) {
    for (int64_t b = inputs.begin; b < inputs.end; ++b) {
      layout.read(view.mu + b * view.mu_stride + first, mu, b - inputs.begin);
      layout.read(view.logvar + b * view.logvar_stride + first, logvar, b - inputs.begin);
    }
  }
};

/// A block of samples: their inputs, and their epsilon.
template <class LatentOp>
class Samples {
 public:
  explicit Samples(const LatentOp& op) : op_(op) {}

  Block epsilon;

  void take(const Range& rows, int first, const Layout& layout) {
    rows_ = rows;
    int64_t input = rows.begin / op_.samples;
    auto sample = static_cast<int>(rows.begin % op_.samples);
    for (int r = 0; r < rows.end - rows.begin; ++r) {
      input_[r] = input;
      sample_[r] = sample;
      if (++sample == op_.samples) sample = 0, ++input;
    }
    if (op_.epsilon.buffer == nullptr)
      draw(first, layout);
    else
      for (int64_t row = rows.begin; row < rows.end; ++row)
        layout.read(op_.epsilon.buffer + row * op_.latent + first, epsilon, row - rows.begin);
  }

  /// The values of the inputs, repeated for each of these samples; in `room`, unless each input has
  /// one sample.
  const Block& of(const Block& block, const Range& inputs, const Layout& layout,
                  Block& room) const {
    if (op_.samples == 1) return block;
    for (int64_t r = 0; r < rows_.end - rows_.begin; ++r)
      layout.copy(block, input_[r] - inputs.begin, room, r);
    return room;
  }

  /// Adds each sample's value, and its product with epsilon, to the sums of its input.
  void add_up(const Block& block, const Range& inputs, const Layout& layout, Block& sums,
              Block& epsilon_sums) const {
    for (int64_t r = 0; r < rows_.end - rows_.begin; ++r) {
      layout.add(block, r, sums, input_[r] - inputs.begin);
      layout.add_product(block, epsilon, r, epsilon_sums, input_[r] - inputs.begin);
    }
  }

 private:
  void draw(int first, const Layout& layout) {
    const EpsilonSource& source = op_.epsilon;
    const StepState& state = *op_.inputs.state;
    const auto quads_of_sample = static_cast<uint32_t>(groups_for(op_.latent));
    const auto quads = static_cast<uint32_t>(groups_for(layout.columns));
    alignas(64) uint64_t groups[kNoiseGroups] = {};
    int count = 0;
    for (int r = 0; r < rows_.end - rows_.begin; ++r) {
      const auto sample =
          static_cast<uint32_t>(state.first_sample) + static_cast<uint32_t>(sample_[r]);
      const uint32_t quad = sample * quads_of_sample + static_cast<uint32_t>(first) / 4;
      for (uint32_t q = 0; q < quads; ++q)
        groups[count++] = math::noise_group(source.row_ids[input_[r]], quad + q);
    }
    normals(source.seed, math::noise_subsequence(source.stream, state.step), groups, count,
            epsilon.value);
  }

  const LatentOp& op_;
  Range rows_;
  int64_t input_[kNoiseGroups];
  int sample_[kNoiseGroups];
};

Range samples_of(const Range& inputs, int samples) {
  return {inputs.begin * samples, inputs.end * samples};
}

}  // namespace

int tasks(const LatentForward& op) { return partition(op).tasks(); }

void run(const LatentForward& op, int task) {
  Posterior posterior;
  Samples samples(op);
  Block deviation, terms, z, mu_room, logvar_room, deviation_room;
  const auto of_inputs = [&](const Range& inputs, int first, const Layout& layout) {
    posterior.read(op.posterior, inputs, first, layout);
    for_numbers(inputs, layout, [&](int i) {
      deviation.value[i] = math::posterior_deviation(posterior.logvar.value[i]);
    });
    if (op.kl != nullptr) {
      for_numbers(inputs, layout, [&](int i) {
        terms.value[i] = math::gaussian_kl(posterior.mu.value[i], posterior.logvar.value[i]);
      });
      add_rows(terms, inputs, first, layout, op.kl);
    }
    for_blocks(samples_of(inputs, op.samples), layout, [&](const Range& rows) {
      samples.take(rows, first, layout);
      const Block& mu = samples.of(posterior.mu, inputs, layout, mu_room);
      const Block& scale = samples.of(deviation, inputs, layout, deviation_room);
      for_numbers(rows, layout, [&](int i) {
        z.value[i] = math::fma(scale.value[i], samples.epsilon.value[i], mu.value[i]);
      });
      for (int64_t row = rows.begin; row < rows.end; ++row)
        layout.write(z, row - rows.begin, op.z.f32() + row * op.latent + first);
      if (op.log_ratio == nullptr) return;
      const Block& logvar = samples.of(posterior.logvar, inputs, layout, logvar_room);
      for_numbers(rows, layout, [&](int i) {
        terms.value[i] =
            math::log_prior_ratio(z.value[i], logvar.value[i], samples.epsilon.value[i]);
      });
      add_rows(terms, rows, first, layout, op.log_ratio);
    });
  };
  for_blocks(partition(op).range(task, op.inputs.active()), op.latent, of_inputs);
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

/// The gradients of a task's inputs; kImportance: op.importance is not null.
template <bool kImportance>
void backward_of_inputs(const LatentBackward& op, const Range& range) {
  const StepState& state = *op.inputs.state;
  const float beta = state.beta / static_cast<float>(state.rows);
  Posterior posterior;
  Samples samples(op);
  Block deviation, grad, grad_z, grad_z_epsilon, weight, mu_room, deviation_room;
  const auto of_inputs = [&](const Range& inputs, int first, const Layout& layout) {
    posterior.read(op.posterior, inputs, first, layout);
    if constexpr (kImportance)
      for_numbers(inputs, layout, [&](int i) {
        deviation.value[i] = math::posterior_deviation(posterior.logvar.value[i]);
      });
    for_numbers(inputs, layout, [&](int i) { grad_z.value[i] = grad_z_epsilon.value[i] = 0.0f; });
    for_blocks(samples_of(inputs, op.samples), layout, [&](const Range& rows) {
      samples.take(rows, first, layout);
      for (int64_t row = rows.begin; row < rows.end; ++row)
        layout.read(op.grad_z + row * op.latent + first, grad, row - rows.begin);
      if constexpr (kImportance) {
        for (int64_t row = rows.begin; row < rows.end; ++row)
          layout.fill(beta * op.importance[row] / static_cast<float>(op.samples), weight,
                      row - rows.begin);
        const Block& mu = samples.of(posterior.mu, inputs, layout, mu_room);
        const Block& scale = samples.of(deviation, inputs, layout, deviation_room);
        for_numbers(rows, layout, [&](int i) {
          const float z = math::fma(scale.value[i], samples.epsilon.value[i], mu.value[i]);
          grad.value[i] += math::importance_gradient_z(z, weight.value[i]);
        });
      }
      samples.add_up(grad, inputs, layout, grad_z, grad_z_epsilon);
    });
    for (int64_t b = inputs.begin; b < inputs.end; ++b) {
      if (op.kl_weight == nullptr)
        layout.fill(beta, weight, b - inputs.begin);
      else
        layout.read(op.kl_weight + first, weight, b - inputs.begin);
    }
    if (op.kl_weight != nullptr)
      for_numbers(inputs, layout,
                  [&](int i) { weight.value[i] /= static_cast<float>(state.rows); });
    for_numbers(inputs, layout, [&](int i) {
      const float logvar = posterior.logvar.value[i];
      const auto gradient =
          kImportance
              ? math::importance_gradient(logvar, grad_z.value[i], grad_z_epsilon.value[i], beta)
              : math::posterior_gradient(posterior.mu.value[i], logvar, grad_z.value[i],
                                         grad_z_epsilon.value[i], weight.value[i]);
      posterior.mu.value[i] = gradient.mu;
      posterior.logvar.value[i] = gradient.logvar;
    });
    for (int64_t b = inputs.begin; b < inputs.end; ++b) {
      layout.write(posterior.mu, b - inputs.begin,
                   op.grad_mu.f32() + b * op.grad_mu_stride + first);
      layout.write(posterior.logvar, b - inputs.begin,
                   op.grad_logvar.f32() + b * op.grad_logvar_stride + first);
    }
  };
  for_blocks(range, op.latent, of_inputs);
}

}  // namespace

int tasks(const LatentBackward& op) { return partition(op).tasks(); }

void run(const LatentBackward& op, int task) {
  const Range range = partition(op).range(task, op.inputs.active());
  if (op.importance != nullptr)
    backward_of_inputs<true>(op, range);
  else
    backward_of_inputs<false>(op, range);
}

}  // namespace elbo::cpu::ELBO_CPU_ISA
