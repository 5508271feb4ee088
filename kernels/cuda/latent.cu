#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/quads.cuh"
#include "kernels/cuda/row_groups.cuh"
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
  const StepState& state = *op.inputs.state;
  const uint32_t number = static_cast<uint32_t>(state.first_sample) + static_cast<uint32_t>(sample);
  const uint32_t quad = number * quads + static_cast<uint32_t>(c) / kQuad;
  return math::normal4(source.seed, math::noise_subsequence(source.stream, state.step),
                       math::noise_group(source.row_ids[input], quad));
}

/// A sample of an input per group of lanes, which sums the sample's log-ratio; the first sample's
/// also sums the divergence.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    latent_forward_kernel(RowGroupArgs<LatentForward> args) {
  wait_for_previous_kernel();
  const LatentForward& op = args.op;
  const GroupPlace place(args.lanes);
  const auto b = static_cast<int32_t>(place.row / op.samples);
  const auto l = static_cast<int32_t>(place.row % op.samples);
  const bool exists = b < op.inputs.capacity(), active = b < op.inputs.active();
  float kl = 0.0f, log_ratio = 0.0f;
  for (int32_t c = kQuad * place.lane; exists && c < op.latent; c += kQuad * args.lanes) {
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
        if (i < left && op.log_ratio != nullptr)
          log_ratio += math::log_prior_ratio(z.value[i], logvar.value[i], epsilon.value[i]);
      }
    }
    store_quad<kVector>(op.z, place.row * op.latent + c, left, z);
  }
  if (op.log_ratio != nullptr) {
    log_ratio = group_sum(log_ratio, args.lanes);
    if (place.lane == 0 && active) op.log_ratio[place.row] = log_ratio;
  }
  if (op.kl == nullptr) return;
  kl = group_sum(kl, args.lanes);
  if (place.lane == 0 && active && l == 0) op.kl[b] = kl;
}

void launch_op(const LatentForward& op, const Queue& queue) {
  const PosteriorView& posterior = op.posterior;
  with_vector_access({posterior.mu, posterior.logvar, op.epsilon.buffer, op.z.data},
                     {posterior.mu_stride, posterior.logvar_stride, op.latent}, [&](auto vector) {
                       launch_row_groups(latent_forward_kernel<decltype(vector)::value>,
                                         int64_t{op.inputs.capacity()} * op.samples,
                                         quads_in(op.latent), op, queue.stream);
                     });
}

/// An input per group of lanes; epsilon is drawn again.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    latent_backward_kernel(RowGroupArgs<LatentBackward> args) {
  wait_for_previous_kernel();
  const LatentBackward& op = args.op;
  const StepState& state = *op.inputs.state;
  const GroupPlace place(args.lanes);
  if (place.row >= op.inputs.capacity()) return;
  const auto b = static_cast<int32_t>(place.row);
  const bool active = b < op.inputs.active();
  const float kl_weight = state.beta / static_cast<float>(state.rows);
  for (int32_t c = kQuad * place.lane; c < op.latent; c += kQuad * args.lanes) {
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
                       launch_row_groups(latent_backward_kernel<decltype(vector)::value>,
                                         op.inputs.capacity(), quads_in(op.latent), op,
                                         queue.stream);
                     });
}

}  // namespace elbo::cuda
