#include "bench/reference.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/math/permutation.hpp"
#include "kernels/math/philox.hpp"
#include "kernels/math/posterior.hpp"

namespace elbo::reference {
namespace {

/// A handful of operations per element.
constexpr double kElementwise = 32.0;
/// Float sums of `terms` numbers: their rounding errors grow like the square root (Higham and
/// Mary 2019); with room, and far below what one missing term would be.
double sum_of(double terms) { return kElementwise + 8.0 * std::sqrt(terms); }

float as_float(double value) { return static_cast<float>(value); }

// Random numbers

uint32_t random_bits(uint64_t seed, uint64_t subsequence, uint64_t group, int64_t lane) {
  return math::philox4x32(seed, subsequence, group).value[lane];
}

/// Box and Muller's normal; the radius' uniform is a float by contract.
double normal(uint64_t seed, uint64_t subsequence, uint64_t group, int64_t lane) {
  const math::Bits4 bits = math::philox4x32(seed, subsequence, group);
  const int64_t pair = lane / 2 * 2;
  const double u = math::fma(static_cast<float>(bits.value[pair]), 0x1p-32f, 0x1p-33f);
  const double turn = 2.0 * std::numbers::pi * (bits.value[pair + 1] + 0.5) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u)) * (lane % 2 == 0 ? std::sin(turn) : std::cos(turn));
}

void run_op(const RandomFill& op) {
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
  for (int64_t i = 0; i < op.batch.active(); ++i) {
    const uint32_t position = state.first_row % length + static_cast<uint32_t>(i);
    const uint32_t place = slot + (op.shuffle ? permutation(position) : position);
    const uint32_t row = op.index == nullptr ? place : op.index[place];
    const int64_t stored_row = op.window == 0 ? row : place;
    op.row_ids[i] = row;
    for (int64_t c = 0; c < op.columns; ++c) {
      const double value = stored(op, stored_row * op.columns + c);
      // Scaled in float by contract: the comparison below must not depend on a rounding.
      const float unit =
          op.dtype == DType::u8 ? as_float(value) * (1.0f / 255.0f) : as_float(value);
      float& x = op.x[i * op.columns + c];
      if (op.view == DataView::raw) {
        x = unit;
        continue;
      }
      const float noise = math::uniform(random_bits(
          op.seed, subsequence, math::noise_group(row, static_cast<uint32_t>(c / 4)), c % 4));
      x = dequantize ? as_float((value + noise) / 256.0) : (noise < unit ? 1.0f : 0.0f);
    }
  }
  std::fill(op.x + static_cast<int64_t>(op.batch.active()) * op.columns,
            op.x + static_cast<int64_t>(op.batch.capacity()) * op.columns, 0.0f);
  std::fill(op.row_ids + op.batch.active(), op.row_ids + op.batch.capacity(), 0u);
}
std::vector<Output> outputs_of(const GatherBatch& op) {
  return {{"x", op.x, static_cast<int64_t>(op.batch.capacity()) * op.columns,
           op.view == DataView::dequantized ? 2.0 : 0.0},
          {"row_ids", op.row_ids, op.batch.capacity()}};
}

// Dense layers

void run_op(const DenseForward& op) {
  op.activation.visit([&](auto activation) {
#pragma omp parallel for
    for (int r = 0; r < op.rows.active(); ++r)
      for (int64_t o = 0; o < op.out; ++o) {
        const float* x = op.x.f32() + static_cast<int64_t>(r) * op.in;
        const float* weight = op.weight.f32() + o * op.in;
        double sum = op.bias[o];
        for (int i = 0; i < op.in; ++i) sum += static_cast<double>(x[i]) * weight[i];
        const int64_t place = static_cast<int64_t>(r) * op.out + o;
        if (op.preactivation) op.preactivation.f32()[place] = as_float(sum);
        op.y.f32()[place] = as_float(decltype(activation)::value(sum));
      }
  });
}
std::vector<Output> outputs_of(const DenseForward& op) {
  const int64_t count = static_cast<int64_t>(op.rows.active()) * op.out;
  std::vector<Output> outputs = {{"y", op.y.f32(), count, sum_of(op.in)}};
  if (op.preactivation)
    outputs.push_back({"preactivation", op.preactivation.f32(), count, sum_of(op.in)});
  return outputs;
}

void run_op(const DenseBackwardInput& op) {
  op.activation.visit([&](auto activation) {
#pragma omp parallel for
    for (int r = 0; r < op.rows.active(); ++r) {
      std::vector<double> sum(static_cast<size_t>(op.in), 0.0);
      for (int64_t o = 0; o < op.out; ++o) {
        const double grad = op.grad_y.f32()[static_cast<int64_t>(r) * op.out + o];
        for (int i = 0; i < op.in; ++i)
          sum[static_cast<size_t>(i)] += grad * op.weight.f32()[o * op.in + i];
      }
      for (int i = 0; i < op.in; ++i) {
        const int64_t place = static_cast<int64_t>(r) * op.in + i;
        const double slope =
            !op.saved
                ? 1.0
                : decltype(activation)::derivative(static_cast<double>(op.saved.f32()[place]));
        op.grad_x.f32()[place] = as_float(sum[static_cast<size_t>(i)] * slope);
      }
    }
  });
}
std::vector<Output> outputs_of(const DenseBackwardInput& op) {
  return {
      {"grad_x", op.grad_x.f32(), static_cast<int64_t>(op.rows.active()) * op.in, sum_of(op.out)}};
}

void run_op(const DenseBackwardWeights& op) {
#pragma omp parallel for
  for (int o = 0; o < op.out; ++o) {
    std::vector<double> sum(static_cast<size_t>(op.in), 0.0);
    double grad_bias = 0.0;
    for (int64_t r = 0; r < op.rows.active(); ++r) {
      const double grad = op.grad_y.f32()[r * op.out + o];
      grad_bias += grad;
      for (int i = 0; i < op.in; ++i)
        sum[static_cast<size_t>(i)] += grad * op.x.f32()[r * op.in + i];
    }
    std::transform(sum.begin(), sum.end(), op.grad_weight + static_cast<int64_t>(o) * op.in,
                   as_float);
    op.grad_bias[o] = as_float(grad_bias);
  }
}
std::vector<Output> outputs_of(const DenseBackwardWeights& op) {
  const double roundings = sum_of(op.rows.active());
  return {{"grad_weight", op.grad_weight, static_cast<int64_t>(op.out) * op.in, roundings},
          {"grad_bias", op.grad_bias, op.out, roundings}};
}

// The latent layer

template <class LatentOp>
double epsilon(const LatentOp& op, int64_t input, int64_t sample, int64_t column) {
  const EpsilonSource& source = op.epsilon;
  if (source.buffer != nullptr)
    return source.buffer[(input * op.samples + sample) * op.latent + column];
  const int64_t quad = sample * ((op.latent + 3) / 4) + column / 4;
  return normal(source.seed,
                math::noise_subsequence(math::NoiseStream::epsilon, op.inputs.state->step),
                math::noise_group(source.row_ids[input], static_cast<uint32_t>(quad)), column % 4);
}

void run_op(const LatentForward& op) {
  for (int64_t b = 0; b < op.inputs.active(); ++b) {
    double kl = 0.0;
    for (int64_t c = 0; c < op.latent; ++c) {
      const double mu = op.posterior.mu[b * op.posterior.mu_stride + c];
      const double logvar = op.posterior.logvar[b * op.posterior.logvar_stride + c];
      for (int64_t l = 0; l < op.samples; ++l)
        op.z.f32()[(b * op.samples + l) * op.latent + c] =
            as_float(math::reparameterize(mu, logvar, epsilon(op, b, l, c)));
      kl += math::gaussian_kl(mu, logvar);
    }
    op.kl[b] = as_float(kl);
  }
}
std::vector<Output> outputs_of(const LatentForward& op) {
  const int64_t inputs = op.inputs.active();
  return {{"z", op.z.f32(), inputs * op.samples * op.latent, kElementwise},
          {"kl", op.kl, inputs, sum_of(op.latent)}};
}

void run_op(const LatentBackward& op) {
  const double kl_weight = static_cast<double>(op.inputs.state->beta) / op.inputs.state->rows;
  for (int64_t b = 0; b < op.inputs.active(); ++b)
    for (int64_t c = 0; c < op.latent; ++c) {
      double grad_z = 0.0, grad_z_epsilon = 0.0;
      for (int64_t l = 0; l < op.samples; ++l) {
        const double grad = op.grad_z[(b * op.samples + l) * op.latent + c];
        grad_z += grad;
        grad_z_epsilon += grad * epsilon(op, b, l, c);
      }
      const auto grad =
          math::posterior_gradient<double>(op.posterior.mu[b * op.posterior.mu_stride + c],
                                           op.posterior.logvar[b * op.posterior.logvar_stride + c],
                                           grad_z, grad_z_epsilon, kl_weight);
      op.grad_mu.f32()[b * op.grad_mu_stride + c] = as_float(grad.mu);
      op.grad_logvar.f32()[b * op.grad_logvar_stride + c] = as_float(grad.logvar);
    }
}
std::vector<Output> outputs_of(const LatentBackward& op) {
  // With everything that lies between the rows; two gradients interleaved are compared twice.
  const auto span = [&](int64_t stride) { return (op.inputs.active() - 1) * stride + op.latent; };
  return {{"grad_mu", op.grad_mu.f32(), span(op.grad_mu_stride), sum_of(op.samples)},
          {"grad_logvar", op.grad_logvar.f32(), span(op.grad_logvar_stride), sum_of(op.samples)}};
}

// Likelihoods

template <class L>
void terms(const LikelihoodTerms& op) {
  const int64_t rows = static_cast<int64_t>(op.inputs.active()) * op.samples;
  const double log_variance = op.log_variance == nullptr ? 0.0 : *op.log_variance;
  for (int64_t row = 0; row < rows; ++row) {
    double nll = 0.0, grad_log_variance = 0.0;
    float* output = op.output + row * L::parameters * op.columns;
    for (int64_t c = 0; c < op.columns; ++c) {
      double parameter[L::parameters];
      for (int p = 0; p < L::parameters; ++p) parameter[p] = output[p * op.columns + c];
      const double x = op.x[row / op.samples * op.columns + c];
      const auto t = L::terms(x, parameter, log_variance);
      nll += t.nll;
      grad_log_variance += t.grad_log_variance;
      if (!op.gradients) continue;
      for (int p = 0; p < L::parameters; ++p)
        output[p * op.columns + c] = as_float(t.grad_output[p] / static_cast<double>(rows));
    }
    op.nll[row] = as_float(nll);
    if (op.gradients && op.grad_log_variance != nullptr)
      op.grad_log_variance[row] = as_float(grad_log_variance / static_cast<double>(rows));
  }
}
void run_op(const LikelihoodTerms& op) {
  op.likelihood.visit([&](auto likelihood) { terms<decltype(likelihood)>(op); });
}
std::vector<Output> outputs_of(const LikelihoodTerms& op) {
  const int64_t rows = static_cast<int64_t>(op.inputs.active()) * op.samples;
  std::vector<Output> outputs = {{"nll", op.nll, rows, sum_of(op.columns)}};
  if (op.gradients)
    outputs.push_back({"output", op.output, rows * op.parameters() * op.columns, kElementwise});
  if (op.gradients && op.grad_log_variance != nullptr)
    outputs.push_back({"grad_log_variance", op.grad_log_variance, rows, sum_of(op.columns)});
  return outputs;
}

void run_op(const LikelihoodMean& op) {
  op.likelihood.visit([&](auto likelihood) {
    using L = decltype(likelihood);
    for (int64_t row = 0; row < op.rows.active(); ++row)
      for (int64_t c = 0; c < op.columns; ++c) {
        double parameter[L::parameters];
        for (int p = 0; p < L::parameters; ++p)
          parameter[p] = op.output[(row * L::parameters + p) * op.columns + c];
        op.mean[row * op.columns + c] = as_float(L::mean(parameter));
      }
  });
}
std::vector<Output> outputs_of(const LikelihoodMean& op) {
  return {{"mean", op.mean, static_cast<int64_t>(op.rows.active()) * op.columns, kElementwise}};
}

// Reductions

void run_op(const ColumnSum& op) {
  for (int64_t c = 0; c < op.columns; ++c) {
    double sum = 0.0;
    for (int64_t r = 0; r < op.rows.active(); ++r) sum += op.x.f32()[r * op.columns + c];
    op.out[c] = as_float(sum);
  }
}
std::vector<Output> outputs_of(const ColumnSum& op) { return {{"out", op.out, op.columns, 2.0}}; }

void run_op(const SquaredNorm& op) {
  std::fill(op.partial, op.partial + arena_chunks(op.count), 0.0f);
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

// Optimizers

struct Slot {
  double weight, first_moment, second_moment;
};

void update(math::Sgd, Slot& s, double grad, const math::OptimizerSettings& o, const StepState& t) {
  s.first_moment = o.momentum * s.first_moment + grad + o.weight_decay * s.weight;
  s.weight -= t.learning_rate * s.first_moment;
}
void update(math::Adam, Slot& s, double grad, const math::OptimizerSettings& o,
            const StepState& t) {
  grad += o.weight_decay * s.weight;
  s.first_moment = o.beta1 * s.first_moment + (1.0 - o.beta1) * grad;
  s.second_moment = o.beta2 * s.second_moment + (1.0 - o.beta2) * grad * grad;
  s.weight -= t.learning_rate * t.correction1 * s.first_moment /
              (std::sqrt(s.second_moment) * t.correction2 + o.epsilon);
}
void update(math::AdamW, Slot& s, double grad, const math::OptimizerSettings& o,
            const StepState& t) {
  s.weight *= 1.0 - static_cast<double>(t.learning_rate) * o.weight_decay;
  math::OptimizerSettings without_decay = o;
  without_decay.weight_decay = 0.0f;
  update(math::Adam{}, s, grad, without_decay, t);
}

double sum(const float* values, int64_t count) {
  double total = 0.0;
  for (int64_t i = 0; i < count; ++i) total += values[i];
  return total;
}

StepRecord& record_of(const OptimizerUpdate& op, uint64_t step) {
  return op.end.ring[step % static_cast<uint64_t>(op.end.ring_size)];
}

void end_step(const OptimizerUpdate& op) {
  const StepEnd& end = op.end;
  const int64_t rows = end.inputs.active();
  StepRecord& record = record_of(op, op.state->step);
  record = {.step = op.state->step + 1, .epoch = op.state->epoch};
  record.nll = as_float(sum(end.nll, rows * end.samples) / static_cast<double>(rows * end.samples));
  if (end.kl != nullptr) record.kl = as_float(sum(end.kl, rows) / static_cast<double>(rows));
  record.learning_rate = op.state->learning_rate;
  record.beta = op.state->beta;
  if (op.squared_norm != nullptr)
    record.gradient_norm = as_float(std::sqrt(sum(op.squared_norm, arena_chunks(op.count))));
  record.rows = static_cast<int32_t>(rows);
  *op.state = end.plan.at(op.state->step + 1);
}

void run_op(const OptimizerUpdate& op) {
  double scale = 1.0;
  if (op.clip_norm > 0.0f) {
    double square = 0.0;
    for (int64_t k = 0; k < arena_chunks(op.count); ++k) square += op.squared_norm[k];
    scale = std::min(1.0, op.clip_norm / (std::sqrt(square) + kClipEpsilon));
  }
  op.optimizer.visit([&](auto optimizer) {
    for (int64_t i = 0; i < op.count; ++i) {
      Slot s = {op.weight[i], op.first_moment[i], op.second_moment[i]};
      update(optimizer, s, scale * op.grad[i], op.settings, *op.state);
      op.weight[i] = as_float(s.weight);
      op.first_moment[i] = as_float(s.first_moment);
      op.second_moment[i] = as_float(s.second_moment);
    }
  });
  if (op.end.ring != nullptr) end_step(op);
}

std::vector<Output> outputs_of(const OptimizerUpdate& op) {
  std::vector<Output> outputs = {{"weight", op.weight, op.count, kElementwise},
                                 {"first_moment", op.first_moment, op.count, kElementwise},
                                 {"second_moment", op.second_moment, op.count, kElementwise}};
  if (op.end.ring == nullptr) return outputs;
  StepRecord& record = record_of(op, op.state->step);
  for (const Output& part : {Output{"state", op.state, sizeof(StepState) / 4},
                             {"record.nll", &record.nll, 1, 2.0},
                             {"record.kl", &record.kl, 1, 2.0},
                             {"record.step", &record.step, 4},
                             {"record.learning_rate", &record.learning_rate, 2},
                             {"record.gradient_norm", &record.gradient_norm, 1, 2.0},
                             {"record.rows", &record.rows, 1}})
    outputs.push_back(part);
  return outputs;
}

}  // namespace

std::vector<Output> outputs(const Op& op) {
  return std::visit([](const auto& o) { return outputs_of(o); }, op);
}

void run(const Op& op) {
  std::visit([](const auto& o) { run_op(o); }, op);
}

}  // namespace elbo::reference
