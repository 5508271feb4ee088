#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/division.cuh"
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

struct LatentForwardArgs {
  LatentForward op;
  Division samples;
};

/// One sample of an input per group of lanes, which sums the log-ratio of the sample; the group of
/// the first sample also sums the KL.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    latent_forward_kernel(RowGroupArgs<LatentForwardArgs> args) {
  wait_for_previous_kernel();
  const LatentForward& op = args.op.op;
  const GroupPlace place(args);
  const Divided row(place.row, args.op.samples);
  const int32_t b = row.quotient, l = row.remainder;
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
    store_quad<kVector>(op.z, place.first(op.latent) + c, left, z);
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
                                         quads_in(op.latent),
                                         LatentForwardArgs{op, Division(op.samples)}, queue.stream);
                     });
}

/// One block of 32 columns by kKlRows rows at a time: a thread adds every kKlRows-th input of its
/// column, then the first row of threads adds those sums in order.
inline constexpr unsigned kKlRows = 32;

ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kWarpSize* kKlRows) kl_weights_kernel(KlWeights op) {
  ELBO_SHARED(double, partial, kKlRows* kWarpSize);
  wait_for_previous_kernel();
  const StepState& state = *op.inputs.state;
  const int32_t rows = op.inputs.active();
  double total = 0.0;  // of this lane's columns
  for (int32_t first = 0; first < op.latent; first += kWarpSize) {
    const int32_t column = first + static_cast<int32_t>(threadIdx.x);
    double sum = 0.0;
    if (column < op.latent)
      for (int32_t b = static_cast<int32_t>(threadIdx.y); b < rows; b += kKlRows)
        sum += math::gaussian_kl(
            op.posterior.mu[int64_t{b} * op.posterior.mu_stride + column],
            op.posterior.logvar[int64_t{b} * op.posterior.logvar_stride + column]);
    __syncthreads();  // readers of the previous columns have finished
    partial[threadIdx.y * kWarpSize + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0) continue;
    for (unsigned y = 1; y < kKlRows; ++y) sum += partial[y * kWarpSize + threadIdx.x];
    const double kl = sum / state.rows;
    total += kl;
    if (column < op.latent)
      op.weight[column] = math::free_bits_weight(kl, op.free_bits, state.beta);
  }
  if (!op.capacity || threadIdx.y != 0) return;
  const float weight = math::capacity_weight(warp_sum(total), state.capacity, state.beta);
  for (int32_t c = static_cast<int32_t>(threadIdx.x); c < op.latent; c += kWarpSize)
    op.weight[c] = weight;
}

void launch_op(const KlWeights& op, const Queue& queue) {
  launch(kl_weights_kernel, 1, dim3(kWarpSize, kKlRows), 0, queue.stream, op);
}

/// The KL weights of the four columns from c, divided by the rows; beta / rows without
/// op.kl_weight.
ELBO_DEVICE math::Float4 kl_weight_quad(const LatentBackward& op, int32_t c) {
  const StepState& state = *op.inputs.state;
  const auto rows = static_cast<float>(state.rows);
  math::Float4 weight;
  ELBO_UNROLL
  for (int i = 0; i < kQuad; ++i) {
    const bool own = op.kl_weight != nullptr && c + i < op.latent;
    weight.value[i] = (own ? op.kl_weight[c + i] : state.beta) / rows;
  }
  return weight;
}

/// An input per group of lanes; epsilon is drawn again, unless it is in a buffer.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    latent_backward_kernel(RowGroupArgs<LatentBackward> args) {
  wait_for_previous_kernel();
  const LatentBackward& op = args.op;
  const StepState& state = *op.inputs.state;
  const GroupPlace place(args);
  if (place.row >= op.inputs.capacity()) return;
  const int32_t b = place.row;
  const bool active = b < op.inputs.active();
  const float beta = state.beta / static_cast<float>(state.rows);
  for (int32_t c = kQuad * place.lane; c < op.latent; c += kQuad * args.lanes) {
    const int32_t left = op.latent - c;
    math::Float4 grad_mu = {}, grad_logvar = {};
    if (active) {
      const math::Float4 mu =
          load_quad<kVector>(op.posterior.mu + int64_t{b} * op.posterior.mu_stride + c, left);
      const math::Float4 logvar = load_quad<kVector>(
          op.posterior.logvar + int64_t{b} * op.posterior.logvar_stride + c, left);
      math::Float4 grad_z = {}, grad_z_epsilon = {};
      for (int32_t l = 0; l < op.samples; ++l) {
        const int64_t row = int64_t{b} * op.samples + l;
        const math::Float4 epsilon = epsilon_quad<kVector>(op, b, l, c);
        math::Float4 grad = load_quad<kVector>(op.grad_z + row * op.latent + c, left);
        if (op.importance != nullptr) {
          const float weight = beta * op.importance[row] / static_cast<float>(op.samples);
          ELBO_UNROLL
          for (int i = 0; i < kQuad; ++i)
            grad.value[i] += math::importance_gradient_z(
                math::reparameterize(mu.value[i], logvar.value[i], epsilon.value[i]), weight);
        }
        ELBO_UNROLL
        for (int i = 0; i < kQuad; ++i) {
          grad_z.value[i] += grad.value[i];
          grad_z_epsilon.value[i] =
              math::fma(grad.value[i], epsilon.value[i], grad_z_epsilon.value[i]);
        }
      }
      const math::Float4 kl_weight = kl_weight_quad(op, c);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) {
        const auto grad =
            op.importance != nullptr
                ? math::importance_gradient(logvar.value[i], grad_z.value[i],
                                            grad_z_epsilon.value[i], beta)
                : math::posterior_gradient(mu.value[i], logvar.value[i], grad_z.value[i],
                                           grad_z_epsilon.value[i], kl_weight.value[i]);
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
