#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/division.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"

namespace elbo::cuda {

/// The likelihood's parameters for the quad at column c of a row of outputs.
template <class L, bool kVector>
struct ParameterQuads {
  math::Float4 quad[L::parameters];

  ELBO_DEVICE ParameterQuads(const float* output, int32_t c, int32_t columns) {
    ELBO_UNROLL
    for (int p = 0; p < L::parameters; ++p)
      quad[p] = load_quad<kVector>(output + int64_t{p} * columns + c, columns - c);
  }
  ELBO_DEVICE void get(int i, float (&parameter)[L::parameters]) const {
    ELBO_UNROLL
    for (int p = 0; p < L::parameters; ++p) parameter[p] = quad[p].value[i];
  }
};

struct LikelihoodTermsArgs {
  LikelihoodTerms op;
  Division samples;
};

/// A row of outputs per block.
template <class L, bool kGradients, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads) likelihood_terms_kernel(LikelihoodTermsArgs args) {
  wait_for_previous_kernel();
  const LikelihoodTerms& op = args.op;
  const int32_t row = static_cast<int32_t>(blockIdx.x);
  const int32_t active_rows = op.inputs.active() * op.samples;
  const bool active = row < active_rows;
  if (!kGradients && !active) return;
  float scale = op.weight / static_cast<float>(active_rows);
  if (kGradients && active && op.row_weight != nullptr) scale *= op.row_weight[row];
  constexpr bool kByChannel = L::variance == math::VarianceRole::learned_by_channel;
  constexpr int32_t kChannels = kByChannel ? LikelihoodTerms::kMostChannels : 1;
  auto variance = math::shared_variance(op.log_variance == nullptr ? 0.0f : *op.log_variance);
  const float* x_row = op.x + int64_t{args.samples.quotient(row)} * op.columns;
  const int64_t first_output = int64_t{row} * L::parameters * op.columns;
  const float* output = op.output + first_output;
  const Reals grad_output = op.grad_output == nullptr ? Reals(op.output) : Reals(op.grad_output);
  float nll = 0.0f, grad_log_variance[kChannels] = {};
  for (int32_t c = kQuad * threadIdx.x; c < op.columns; c += kQuad * blockDim.x) {
    const int32_t left = op.columns - c;
    const math::Float4 x = load_quad<kVector>(x_row + c, left);
    const ParameterQuads<L, kVector> parameters(output, c, op.columns);
    math::Float4 grad[L::parameters];
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) {
      float parameter[L::parameters];
      parameters.get(i, parameter);
      int32_t channel = 0;
      if constexpr (kByChannel) {
        channel = (c + i) / op.channel_step % op.channels;
        variance = math::shared_variance(op.log_variance[channel]);
      }
      const auto terms = L::terms(x.value[i], parameter, variance);
      if (i < left) {
        nll += terms.nll;
        ELBO_UNROLL
        for (int32_t k = 0; k < kChannels; ++k)
          grad_log_variance[k] += k == channel ? terms.grad_log_variance : 0.0f;
      }
      ELBO_UNROLL
      for (int p = 0; p < L::parameters; ++p)
        grad[p].value[i] = active ? scale * terms.grad_output[p] : 0.0f;
    }
    if constexpr (kGradients) {
      ELBO_UNROLL
      for (int p = 0; p < L::parameters; ++p)
        store_quad<kVector>(grad_output, first_output + int64_t{p} * op.columns + c, left, grad[p]);
    }
  }
  nll = block_sum(nll);
  if (threadIdx.x == 0 && active) op.nll[row] = nll;
  if constexpr (kGradients && math::is_learned(L::variance)) {
    if (op.grad_log_variance == nullptr) return;
    ELBO_UNROLL
    for (int32_t k = 0; k < kChannels; ++k) {
      if (k == op.channels) return;
      const float sum = block_sum(grad_log_variance[k]);
      if (threadIdx.x == 0)
        op.grad_log_variance[row * op.channels + k] = active ? scale * sum : 0.0f;
    }
  }
}

void launch_op(const LikelihoodTerms& op, const Queue& queue) {
  const int64_t rows = int64_t{op.inputs.capacity()} * op.samples;
  op.likelihood.visit([&](auto likelihood) {
    using L = decltype(likelihood);
    with_vector_access({op.x, op.output, op.grad_output}, {op.columns}, [&](auto vector) {
      constexpr bool kVector = decltype(vector)::value;
      launch_rows(op.gradients ? likelihood_terms_kernel<L, true, kVector>
                               : likelihood_terms_kernel<L, false, kVector>,
                  rows, op.columns, queue.stream, {op, Division(op.samples)});
    });
  });
}

/// A row per block.
template <class L, bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads) likelihood_mean_kernel(LikelihoodMean op) {
  wait_for_previous_kernel();
  const int32_t row = static_cast<int32_t>(blockIdx.x);
  if (row >= op.rows.active()) return;
  const float* output = op.output + int64_t{row} * L::parameters * op.columns;
  float* mean_row = op.mean + int64_t{row} * op.columns;
  for (int32_t c = kQuad * threadIdx.x; c < op.columns; c += kQuad * blockDim.x) {
    const math::Float4 first = load_quad<kVector>(output + c, op.columns - c);
    math::Float4 mean;
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) mean.value[i] = L::Mean::value(first.value[i]);
    store_quad<kVector>(mean_row + c, op.columns - c, mean);
  }
}

void launch_op(const LikelihoodMean& op, const Queue& queue) {
  op.likelihood.visit([&](auto likelihood) {
    using L = decltype(likelihood);
    with_vector_access({op.output, op.mean}, {op.columns}, [&](auto vector) {
      launch_rows(likelihood_mean_kernel<L, decltype(vector)::value>, op.rows.capacity(),
                  op.columns, queue.stream, op);
    });
  });
}

}  // namespace elbo::cuda
