#include <algorithm>
#include <bit>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"
#include "kernels/math/posterior.hpp"

namespace elbo::cuda {

/// epsilon of columns c .. c+3 for one input's sample.
template <bool kVector, class LatentOp>
ELBO_DEVICE math::Float4 epsilon_quad(const LatentOp& op, int32_t input, int32_t sample,
                                      int32_t c) {
  const EpsilonSource& source = op.epsilon;
  if (source.buffer != nullptr)
    return load_quad<kVector>(
        source.buffer + (int64_t{input} * op.samples + sample) * op.latent + c, op.latent - c);
  const uint32_t quads = static_cast<uint32_t>((op.latent + kQuad - 1) / kQuad);
  const uint32_t quad = static_cast<uint32_t>(sample) * quads + static_cast<uint32_t>(c) / kQuad;
  return math::normal4(source.seed,
                       math::noise_subsequence(math::NoiseStream::epsilon, op.inputs.state->step),
                       math::noise_group(source.row_ids[input], quad));
}

/// A latent op, and how many neighbouring lanes of a warp work on one row together: as many as the
/// row has quads, so that short rows leave no lane idle.
template <class Op>
struct LatentArgs {
  Op op;
  int32_t lanes;  // a power of two, at most a warp

  explicit LatentArgs(const Op& latent_op) : op(latent_op) {
    const auto quads = static_cast<unsigned>((op.latent + kQuad - 1) / kQuad);
    lanes = static_cast<int32_t>(std::min(std::bit_ceil(std::max(quads, 1u)), kWarpSize));
  }
};

inline constexpr unsigned kLatentThreads = 128;

/// Which row this thread's group of lanes works on, and its first column there.
struct LatentPlace {
  int64_t row;
  int32_t column;
  int32_t stride;

  ELBO_DEVICE explicit LatentPlace(int32_t lanes)
      : row((int64_t{blockIdx.x} * kLatentThreads + threadIdx.x) / static_cast<unsigned>(lanes)),
        column(static_cast<int32_t>(threadIdx.x) % lanes * kQuad),
        stride(lanes * kQuad) {}
};

/// Sum over a group of lanes, in each of them; the whole warp must call.
ELBO_DEVICE float group_sum(float value, int32_t lanes) {
  for (int32_t offset = lanes / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kFullWarp, value, offset);
  return value;
}

template <class Op>
void launch_latent(void (*kernel)(LatentArgs<Op>), int64_t rows, const Op& op, Stream stream) {
  const LatentArgs<Op> args(op);
  const int64_t threads = rows * args.lanes;
  if (threads == 0) return;
  launch(kernel, static_cast<unsigned>((threads + kLatentThreads - 1) / kLatentThreads),
         kLatentThreads, 0, stream, args);
}

/// A sample of an input per group of lanes; the first sample's also sums the divergence.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kLatentThreads)
    latent_forward_kernel(LatentArgs<LatentForward> args) {
  wait_for_previous_kernel();
  const LatentForward& op = args.op;
  const LatentPlace place(args.lanes);
  const auto b = static_cast<int32_t>(place.row / op.samples);
  const auto l = static_cast<int32_t>(place.row % op.samples);
  const bool exists = b < op.inputs.capacity(), active = b < op.inputs.active();
  float kl = 0.0f;
  for (int32_t c = place.column; exists && c < op.latent; c += place.stride) {
    const int32_t left = op.latent - c;
    math::Float4 z = {};
    if (active) {
      const math::Float4 mu =
          load_quad<kVector>(op.posterior.mu + int64_t{b} * op.posterior.mu_stride + c, left);
      const math::Float4 logvar = load_quad<kVector>(
          op.posterior.logvar + int64_t{b} * op.posterior.logvar_stride + c, left);
      const math::Float4 epsilon = epsilon_quad<kVector>(op, b, l, c);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) {
        z.value[i] = math::reparameterize(mu.value[i], logvar.value[i], epsilon.value[i]);
        if (i < left) kl += math::gaussian_kl(mu.value[i], logvar.value[i]);
      }
    }
    store_quad<kVector>(op.z, place.row * op.latent + c, left, z);
  }
  kl = group_sum(kl, args.lanes);
  if (place.column == 0 && active && l == 0) op.kl[b] = kl;
}

void launch_op(const LatentForward& op, const Queue& queue) {
  const PosteriorView& posterior = op.posterior;
  with_vector_access({posterior.mu, posterior.logvar, op.epsilon.buffer, op.z.data},
                     {posterior.mu_stride, posterior.logvar_stride, op.latent}, [&](auto vector) {
                       launch_latent(latent_forward_kernel<decltype(vector)::value>,
                                     int64_t{op.inputs.capacity()} * op.samples, op, queue.stream);
                     });
}

/// An input per group of lanes; epsilon is drawn again.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kLatentThreads)
    latent_backward_kernel(LatentArgs<LatentBackward> args) {
  wait_for_previous_kernel();
  const LatentBackward& op = args.op;
  const StepState& state = *op.inputs.state;
  const LatentPlace place(args.lanes);
  if (place.row >= op.inputs.capacity()) return;
  const auto b = static_cast<int32_t>(place.row);
  const bool active = b < op.inputs.active();
  const float kl_weight = state.beta / static_cast<float>(state.rows);
  for (int32_t c = place.column; c < op.latent; c += place.stride) {
    const int32_t left = op.latent - c;
    math::Float4 grad_mu = {}, grad_logvar = {};
    if (active) {
      math::Float4 grad_z = {}, grad_z_epsilon = {};
      for (int32_t l = 0; l < op.samples; ++l) {
        const math::Float4 epsilon = epsilon_quad<kVector>(op, b, l, c);
        const math::Float4 grad =
            load_quad<kVector>(op.grad_z + (int64_t{b} * op.samples + l) * op.latent + c, left);
        ELBO_UNROLL
        for (int i = 0; i < kQuad; ++i) {
          grad_z.value[i] += grad.value[i];
          grad_z_epsilon.value[i] =
              math::fma(grad.value[i], epsilon.value[i], grad_z_epsilon.value[i]);
        }
      }
      const math::Float4 mu =
          load_quad<kVector>(op.posterior.mu + int64_t{b} * op.posterior.mu_stride + c, left);
      const math::Float4 logvar = load_quad<kVector>(
          op.posterior.logvar + int64_t{b} * op.posterior.logvar_stride + c, left);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) {
        const auto grad = math::posterior_gradient(mu.value[i], logvar.value[i], grad_z.value[i],
                                                   grad_z_epsilon.value[i], kl_weight);
        grad_mu.value[i] = grad.mu;
        grad_logvar.value[i] = grad.logvar;
      }
    }
    store_quad<kVector>(op.grad_mu, int64_t{b} * op.grad_mu_stride + c, left, grad_mu);
    store_quad<kVector>(op.grad_logvar, int64_t{b} * op.grad_logvar_stride + c, left, grad_logvar);
  }
}

void launch_op(const LatentBackward& op, const Queue& queue) {
  const PosteriorView& posterior = op.posterior;
  with_vector_access({posterior.mu, posterior.logvar, op.epsilon.buffer, op.grad_z, op.grad_mu.data,
                      op.grad_logvar.data},
                     {posterior.mu_stride, posterior.logvar_stride, op.latent, op.grad_mu_stride,
                      op.grad_logvar_stride},
                     [&](auto vector) {
                       launch_latent(latent_backward_kernel<decltype(vector)::value>,
                                     op.inputs.capacity(), op, queue.stream);
                     });
}

}  // namespace elbo::cuda
