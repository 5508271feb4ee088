#include "bench/reference.hpp"

#include <algorithm>
#include <numbers>

#include "bench/reference_ops.hpp"
#include "kernels/math/permutation.hpp"
#include "kernels/math/philox.hpp"
#include "kernels/math/posterior.hpp"

namespace elbo::reference {
namespace {

// Random numbers

uint32_t random_bits(uint64_t seed, uint64_t subsequence, uint64_t group, int64_t lane) {
  return math::philox4x32(seed, subsequence, group).value[lane];
}

/// Returns a normal number by the Box-Muller transform. The contract requires that the uniform
/// number of its radius is a float.
double normal(uint64_t seed, uint64_t subsequence, uint64_t group, int64_t lane) {
  const math::Bits4 bits = math::philox4x32(seed, subsequence, group);
  const int64_t pair = lane / 2 * 2;
  const double u = math::fma(static_cast<float>(bits.value[pair]), 0x1p-32f, 0x1p-33f);
  const double turn = 2.0 * std::numbers::pi * (bits.value[pair + 1] + 0.5) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u)) * (lane % 2 == 0 ? std::sin(turn) : std::cos(turn));
}

void run_op(const RandomFill& op) {
#pragma omp parallel for
  for (int64_t i = 0; i < op.count; ++i) {
    const uint64_t group = op.first_group + static_cast<uint64_t>(i / 4);
    const uint32_t bits = random_bits(op.seed, op.subsequence, group, i % 4);
    switch (op.distribution) {
      case Distribution::bits:
        static_cast<uint32_t*>(op.out)[i] = bits;
        break;
      case Distribution::uniform:
        static_cast<float*>(op.out)[i] = math::uniform(bits);
        break;
      case Distribution::normal:
        static_cast<float*>(op.out)[i] = as_float(normal(op.seed, op.subsequence, group, i % 4));
    }
  }
}
std::vector<Output> outputs_of(const RandomFill& op) {
  return {{"out", op.out, op.count, op.distribution == Distribution::normal ? kElementwise : 0.0}};
}

void run_op(const PermutationFill& op) {
  const math::Permutation permutation(op.domain, op.seed, op.epoch);
#pragma omp parallel for
  for (uint32_t i = 0; i < op.count; ++i) op.out[i] = permutation(op.first + i);
}
std::vector<Output> outputs_of(const PermutationFill& op) { return {{"out", op.out, op.count}}; }

// Batches

double stored(const GatherBatch& op, int64_t element) {
  switch (op.dtype) {
    case DType::u8:
      return static_cast<const uint8_t*>(op.rows)[element];
    case DType::f32:
      return static_cast<const float*>(op.rows)[element];
    case DType::f64:
      return static_cast<const double*>(op.rows)[element];
  }
  return 0.0;
}

/// Returns the noise of an element's corruption: normal or uniform, as corruption `C` needs.
template <class C>
double corruption_noise(const GatherBatch& op, uint32_t row, int64_t column) {
  const uint64_t subsequence =
      math::noise_subsequence(math::NoiseStream::corrupt, op.batch.state->step);
  const uint64_t group = math::noise_group(row, static_cast<uint32_t>(column / 4));
  if (C::noise == math::CorruptionNoise::normal)
    return normal(op.seed, subsequence, group, column % 4);
  return math::uniform(random_bits(op.seed, subsequence, group, column % 4));
}

/// Returns the network's input for an element x. Written case by case, from the descriptions of the
/// corruptions.
double corrupted(const GatherBatch& op, float x, uint32_t row, int64_t column) {
  const double level = op.corruption_level;
  double input = x;
  op.corruption.visit([&](auto member) {
    using C = decltype(member);
    const double noise = corruption_noise<C>(op, row, column);
    if (std::is_same_v<C, math::GaussianCorruption>) input = x + level * noise;
    if (std::is_same_v<C, math::Masking> && noise < level) input = 0.0;
    if (std::is_same_v<C, math::SaltAndPepper> && noise < level) input = noise < level / 2 ? 0 : 1;
  });
  return input;
}

/// Returns the element of the stored row that appears in `column` of the augmented row: the picture
/// is mirrored, then shifted; beyond its edges it is continued by reflection.
int64_t shown(const GatherBatch& op, uint32_t row, int64_t column) {
  if (!op.augmentation.flip && op.augmentation.shift == 0) return column;
  const math::PictureLayout& p = op.picture;
  const math::Bits4 bits = math::philox4x32(
      op.seed, math::noise_subsequence(math::NoiseStream::augment, op.batch.state->step),
      math::noise_group(row, 0));
  const auto place = [&](int64_t at, int64_t size, uint32_t drawn) {
    const int64_t shifts = 2 * int64_t{op.augmentation.shift} + 1;
    at += static_cast<int64_t>(drawn * 0x1p-32 * static_cast<double>(shifts)) - shifts / 2;
    return std::min(std::abs(at), std::abs(2 * (size - 1) - at));
  };
  const int64_t y = column / p.step_y % p.height, x = column / p.step_x % p.width;
  const bool mirrored = op.augmentation.flip && bits.value[0] >= 1u << 31;
  const int64_t from_y = place(y, p.height, bits.value[1]);
  const int64_t from_x = place(mirrored ? p.width - 1 - x : x, p.width, bits.value[2]);
  return column + (from_y - y) * p.step_y + (from_x - x) * p.step_x;
}

void run_op(const GatherBatch& op) {
  const StepState& state = *op.batch.state;
  const uint32_t length = op.window == 0 ? op.count : op.window;
  const uint32_t windows = (op.count + length - 1) / length, window = state.first_row / length;
  const uint64_t number = state.epoch * windows + window;
  const math::Permutation permutation(std::min(length, op.count - window * length), op.seed,
                                      number);
  const uint32_t slot = number % 2 == 0 ? 0 : op.window;
  const bool dequantize = op.view == DataView::dequantized;
  const uint64_t subsequence = math::noise_subsequence(
      dequantize ? math::NoiseStream::dequantize : math::NoiseStream::binarize,
      op.view == DataView::binarized_fixed ? 0 : state.step);
#pragma omp parallel for
  for (int64_t i = 0; i < op.batch.active(); ++i) {
    const uint32_t position = state.first_row % length + static_cast<uint32_t>(i);
    const uint32_t place = slot + (op.shuffle ? permutation(position) : position);
    const uint32_t row = op.index == nullptr ? place : op.index[place];
    const int64_t stored_row = op.window == 0 ? row : place;
    op.row_ids[i] = row;
    for (int64_t c = 0; c < op.columns; ++c) {
      const double value = stored(op, stored_row * op.columns + shown(op, row, c));
      // The contract requires scaling in float, because the comparison below must not depend on a
      // rounding.
      const float unit =
          op.dtype == DType::u8 ? as_float(value) * (1.0f / 255.0f) : as_float(value);
      float x = unit;
      if (op.view != DataView::raw) {
        const float noise = math::uniform(random_bits(
            op.seed, subsequence, math::noise_group(row, static_cast<uint32_t>(c / 4)), c % 4));
        x = dequantize ? as_float((value + noise) / 256.0) : (noise < unit ? 1.0f : 0.0f);
      }
      op.x[i * op.columns + c] = x;
      if (op.input) put(op.input, i * op.columns + c, corrupted(op, x, row, c));
    }
  }
  const int64_t active = int64_t{op.batch.active()} * op.columns;
  const int64_t all = int64_t{op.batch.capacity()} * op.columns;
  std::fill(op.x + active, op.x + all, 0.0f);
  for (int64_t i = active; op.input && i < all; ++i) put(op.input, i, 0.0);
  std::fill(op.row_ids + op.batch.active(), op.row_ids + op.batch.capacity(), 0u);
}
std::vector<Output> outputs_of(const GatherBatch& op) {
  const int64_t count = int64_t{op.batch.capacity()} * op.columns;
  const bool dequantize = op.view == DataView::dequantized;
  std::vector<Output> outputs = {{"x", op.x, count, dequantize ? 2.0 : 0.0},
                                 {"row_ids", op.row_ids, op.batch.capacity()}};
  if (!op.input) return outputs;
  // Equal floats round to equal bfloat16 numbers, so exact inputs stay exact.
  double roundings = dequantize ? 2.0 : 0.0;
  if (op.corruption == math::Corruption::of<math::GaussianCorruption>()) roundings += kElementwise;
  outputs.push_back(roundings > 0.0 ? output("input", op.input, count, roundings)
                                    : Output{"input", op.input.data, count, 0.0, op.input.format});
  return outputs;
}

// The latent layer

template <class LatentOp>
double epsilon(const LatentOp& op, int64_t input, int64_t sample, int64_t column) {
  const EpsilonSource& source = op.epsilon;
  if (source.buffer != nullptr)
    return source.buffer[(input * op.samples + sample) * op.latent + column];
  const auto first = static_cast<int64_t>(op.inputs.state->first_sample);
  const int64_t quad = (first + sample) * ((op.latent + 3) / 4) + column / 4;
  return normal(source.seed, math::noise_subsequence(source.stream, op.inputs.state->step),
                math::noise_group(source.row_ids[input], static_cast<uint32_t>(quad)), column % 4);
}

void run_op(const LatentForward& op) {
#pragma omp parallel for
  for (int64_t b = 0; b < op.inputs.active(); ++b) {
    double kl = 0.0;
    for (int64_t c = 0; c < op.latent; ++c) {
      const double mu = op.posterior.mu[b * op.posterior.mu_stride + c];
      const double logvar = op.posterior.logvar[b * op.posterior.logvar_stride + c];
      for (int64_t l = 0; l < op.samples; ++l)
        put(op.z, (b * op.samples + l) * op.latent + c,
            math::reparameterize(mu, logvar, epsilon(op, b, l, c)));
      kl += math::gaussian_kl(mu, logvar);
    }
    if (op.kl != nullptr) op.kl[b] = as_float(kl);
    for (int64_t l = 0; op.log_ratio != nullptr && l < op.samples; ++l) {
      double log_ratio = 0.0;
      for (int64_t c = 0; c < op.latent; ++c) {
        const double mu = op.posterior.mu[b * op.posterior.mu_stride + c];
        const double logvar = op.posterior.logvar[b * op.posterior.logvar_stride + c];
        const double noise = epsilon(op, b, l, c);
        log_ratio += math::log_prior_ratio(math::reparameterize(mu, logvar, noise), logvar, noise);
      }
      op.log_ratio[b * op.samples + l] = as_float(log_ratio);
    }
  }
}
std::vector<Output> outputs_of(const LatentForward& op) {
  const int64_t inputs = op.inputs.active();
  std::vector<Output> outputs = {output("z", op.z, inputs * op.samples * op.latent, kElementwise)};
  if (op.kl != nullptr) outputs.push_back({"kl", op.kl, inputs, sum_of(op.latent)});
  if (op.log_ratio != nullptr)
    outputs.push_back({"log_ratio", op.log_ratio, inputs * op.samples, sum_of(op.latent)});
  return outputs;
}

void run_op(const KlWeights& op) {
  const StepState& state = *op.inputs.state;
  double total = 0.0;
  for (int64_t c = 0; c < op.latent; ++c) {
    double kl = 0.0;
    for (int64_t b = 0; b < op.inputs.active(); ++b)
      kl += math::gaussian_kl<double>(op.posterior.mu[b * op.posterior.mu_stride + c],
                                      op.posterior.logvar[b * op.posterior.logvar_stride + c]) /
            state.rows;
    total += kl;
    op.weight[c] = math::free_bits_weight(kl, op.free_bits, state.beta);
  }
  if (op.capacity)
    std::fill_n(op.weight, op.latent, math::capacity_weight(total, state.capacity, state.beta));
}
std::vector<Output> outputs_of(const KlWeights& op) { return {{"weight", op.weight, op.latent}}; }

void run_op(const LatentBackward& op) {
  const double beta = static_cast<double>(op.inputs.state->beta) / op.inputs.state->rows;
#pragma omp parallel for
  for (int64_t b = 0; b < op.inputs.active(); ++b)
    for (int64_t c = 0; c < op.latent; ++c) {
      const double mu = op.posterior.mu[b * op.posterior.mu_stride + c];
      const double logvar = op.posterior.logvar[b * op.posterior.logvar_stride + c];
      double grad_z = 0.0, grad_z_epsilon = 0.0;
      for (int64_t l = 0; l < op.samples; ++l) {
        const int64_t row = b * op.samples + l;
        const double noise = epsilon(op, b, l, c);
        double grad = op.grad_z[row * op.latent + c];
        if (op.importance != nullptr)
          grad += math::importance_gradient_z(math::reparameterize(mu, logvar, noise),
                                              beta * op.importance[row] / op.samples);
        grad_z += grad;
        grad_z_epsilon += grad * noise;
      }
      const double kl_weight = op.kl_weight == nullptr
                                   ? beta
                                   : static_cast<double>(op.kl_weight[c]) / op.inputs.state->rows;
      const auto grad =
          op.importance != nullptr
              ? math::importance_gradient(logvar, grad_z, grad_z_epsilon, beta)
              : math::posterior_gradient(mu, logvar, grad_z, grad_z_epsilon, kl_weight);
      put(op.grad_mu, b * op.grad_mu_stride + c, grad.mu);
      put(op.grad_logvar, b * op.grad_logvar_stride + c, grad.logvar);
    }
}
std::vector<Output> outputs_of(const LatentBackward& op) {
  // The span includes all elements between the rows, so two interleaved gradients are compared
  // twice.
  const auto span = [&](int64_t stride) { return (op.inputs.active() - 1) * stride + op.latent; };
  return {output("grad_mu", op.grad_mu, span(op.grad_mu_stride), sum_of(op.samples)),
          output("grad_logvar", op.grad_logvar, span(op.grad_logvar_stride), sum_of(op.samples))};
}

// Reductions

void run_op(const ColumnSum& op) {
  for (int64_t c = 0; c < op.columns; ++c) {
    double sum = op.accumulate ? op.out[c] : 0.0;
    for (int64_t r = 0; r < op.rows.active(); ++r) sum += at(op.x, r * op.columns + c);
    op.out[c] = as_float(sum);
  }
}
std::vector<Output> outputs_of(const ColumnSum& op) { return {{"out", op.out, op.columns, 2.0}}; }

void run_op(const SquaredDistance& op) {
#pragma omp parallel for
  for (int64_t r = 0; r < op.rows.active(); ++r) {
    double sum = 0.0;
    for (int64_t c = 0; c < op.columns; ++c) {
      const double difference = static_cast<double>(op.x[r / op.rows.per_input * op.columns + c]) -
                                op.y[r * op.columns + c];
      sum += difference * difference;
    }
    op.distance[r] = as_float(sum);
  }
}
std::vector<Output> outputs_of(const SquaredDistance& op) {
  return {{"distance", op.distance, op.rows.active(), sum_of(op.columns)}};
}

void run_op(const GradientSum& op) {
#pragma omp parallel for
  for (int64_t r = 0; r < op.rows.active(); ++r)
    for (int64_t c = 0; c < op.columns; ++c) {
      double sum = 0.0;
      for (const GradientSum::Term& term : op.terms)
        if (term.data && c < term.columns) sum += at(term.data, r * term.columns + c);
      put(op.out, r * op.columns + c, sum);
    }
}
std::vector<Output> outputs_of(const GradientSum& op) {
  return {output("out", op.out, int64_t{op.rows.active()} * op.columns,
                 sum_of(GradientSum::kMostTerms))};
}

void run_op(const SquaredNorm& op) {
  std::fill(op.partial, op.partial + arena_chunks(op.count), 0.0f);
#pragma omp parallel for
  for (int64_t chunk = 0; chunk < arena_chunks(op.count); ++chunk) {
    double sum = 0.0;
    const int64_t end = std::min(op.count, (chunk + 1) * kArenaChunk);
    for (int64_t i = chunk * kArenaChunk; i < end; ++i)
      sum += static_cast<double>(op.x[i]) * op.x[i];
    op.partial[chunk] = as_float(sum);
  }
}
std::vector<Output> outputs_of(const SquaredNorm& op) {
  return {{"partial", op.partial, arena_chunks(op.count), sum_of(kArenaChunk)}};
}

}  // namespace

std::vector<Output> outputs(const Op& op) {
  return std::visit([](const auto& o) { return outputs_of(o); }, op);
}

void run(const Op& op) {
  std::visit([](const auto& o) { run_op(o); }, op);
}

}  // namespace elbo::reference
