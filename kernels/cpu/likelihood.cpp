#include "kernels/likelihood.hpp"

#include <algorithm>
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

/// A row of x and of the decoder's outputs, which are overwritten by their gradients.
template <class L, bool kGradients>
struct Row {
  const float* x;  // [columns]
  float* output;   // [parameters, columns]
  int32_t columns;
  float scale;  // of the gradients

  ELBO_HD math::Terms<float, L::parameters> take(
      int32_t c, const math::SharedVariance<float>& variance) const {
    return take(c, variance, std::make_integer_sequence<int, L::parameters>());
  }

  /// Adds columns first, first + step, ... to a sum of the likelihood; also unrolled.
  template <int kStep, class Sum, int... kPlace>
  ELBO_HD void add(int32_t first, Sum& sum, std::integer_sequence<int, kPlace...>) const {
    (add(first + kPlace * kStep, sum), ...);
  }

 private:
  template <class Sum>
  ELBO_HD void add(int32_t c, Sum& sum) const {
    const float parameter[] = {output[c]};
    const float gradient = sum.add(x[c], parameter);
    if constexpr (kGradients) output[c] = scale * gradient;
  }

  // Parameters are unrolled, because a loop over them would prevent vectorisation of the loops
  // around it.
  template <int... kParameter>
  ELBO_HD math::Terms<float, L::parameters> take(int32_t c,
                                                 const math::SharedVariance<float>& variance,
                                                 std::integer_sequence<int, kParameter...>) const {
    const float parameter[] = {output[kParameter * columns + c]...};
    const auto terms = L::terms(x[c], parameter, variance);
    if constexpr (kGradients)
      ((output[kParameter * columns + c] = scale * terms.grad_output[kParameter]), ...);
    return terms;
  }
};

/// A one-parameter likelihood with a cheaper sum than term by term.
template <class L>
concept Summable = L::parameters == 1 && requires {
  typename L::template Sum<float>;
};

/// -log p of a row's first elements, in whole blocks; sets `done` to their number.
template <Summable L, bool kGradients>
float sum_blocks(const Row<L, kGradients>& row, int32_t& done) {
  // Neighbours go to different lanes of a register, and each lane sums several elements.
  constexpr int kLanes = 16, kEach = 8, kBlock = kLanes * kEach;
  alignas(64) float sums[kLanes] = {};
  for (done = 0; done + kBlock <= row.columns; done += kBlock)
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      typename L::template Sum<float> sum;
      row.template add<kLanes>(done + lane, sum, std::make_integer_sequence<int, kEach>());
      sums[lane] += sum.nll();
    }
  float nll = 0.0f;
  for (const float sum : sums) nll += sum;
  return nll;
}

struct Sums {
  float nll = 0.0f;
  float grad_log_variance[LikelihoodTerms::kMostChannels] = {};
};

/// Adds the columns from `first` to `end`, all of one channel.
template <class L, bool kGradients>
void add_plane(const Row<L, kGradients>& row, int32_t first, int32_t end, float log_variance,
               int32_t channel, Sums& sums) {
  const auto variance = math::shared_variance(log_variance);
  float nll = 0.0f, grad_log_variance = 0.0f;
#pragma omp simd reduction(+ : nll, grad_log_variance)
  for (int32_t c = first; c < end; ++c) {
    const auto terms = row.take(c, variance);
    nll += terms.nll;
    grad_log_variance += terms.grad_log_variance;
  }
  sums.nll += nll;
  sums.grad_log_variance[channel] += grad_log_variance;
}

/// Adds a whole row of pixels with interleaved channels. A block is several pixels, and each lane
/// of a block sums columns of a single channel.
template <class L, bool kGradients>
void add_pixels(const Row<L, kGradients>& row, const float* log_variance, int32_t channels,
                Sums& sums) {
  constexpr int32_t kPixels = 16, kMostLanes = kPixels * LikelihoodTerms::kMostChannels;
  alignas(64) float log[kMostLanes], precision[kMostLanes], derivative[kMostLanes];
  alignas(64) float nll[kMostLanes] = {}, grad_log_variance[kMostLanes] = {};
  const int32_t lanes = kPixels * channels;
  for (int32_t channel = 0; channel < channels; ++channel) {
    const auto variance = math::shared_variance(log_variance[channel]);
    for (int32_t lane = channel; lane < lanes; lane += channels) {
      log[lane] = variance.log;
      precision[lane] = variance.precision;
      derivative[lane] = variance.derivative;
    }
  }
  for (int32_t first = 0; first < row.columns; first += lanes) {
    const int32_t count = std::min(lanes, row.columns - first);
#pragma omp simd
    for (int32_t lane = 0; lane < count; ++lane) {
      const auto terms = row.take(first + lane, {log[lane], precision[lane], derivative[lane]});
      nll[lane] += terms.nll;
      grad_log_variance[lane] += terms.grad_log_variance;
    }
  }
  for (int32_t lane = 0; lane < lanes; ++lane) {
    sums.nll += nll[lane];
    sums.grad_log_variance[lane % channels] += grad_log_variance[lane];
  }
}

template <class L, bool kGradients>
void terms_of_row(const LikelihoodTerms& op, int64_t number, float scale) {
  const int32_t columns = op.columns;
  const Row<L, kGradients> row = {op.x + number / op.samples * columns,
                                  op.output + number * L::parameters * columns, columns, scale};
  const auto log_variance = [&](int32_t channel) {
    return op.log_variance == nullptr ? 0.0f : op.log_variance[channel];
  };
  Sums sums;
  if constexpr (L::variance == math::VarianceRole::learned_by_channel) {
    if (op.channel_step == 1)
      add_pixels(row, op.log_variance, op.channels, sums);
    else
      for (int32_t first = 0; first < columns; first += op.channel_step) {
        const int32_t channel = first / op.channel_step % op.channels;
        add_plane(row, first, std::min(first + op.channel_step, columns), log_variance(channel),
                  channel, sums);
      }
  } else {
    int32_t done = 0;
    if constexpr (Summable<L>) sums.nll = sum_blocks(row, done);
    add_plane(row, done, columns, log_variance(0), 0, sums);
  }
  op.nll[number] = sums.nll;
  if (kGradients && op.grad_log_variance != nullptr)
    for (int32_t channel = 0; channel < op.channels; ++channel)
      op.grad_log_variance[number * op.channels + channel] =
          scale * sums.grad_log_variance[channel];
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
