// Group normalisation, one group of a row per block. Each thread sums its elements in float; the
// sums over a group are added in double.
#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/channel_threads.cuh"
#include "kernels/cuda/division.cuh"
#include "kernels/cuda/execution.cuh"

namespace elbo::cuda {

template <class Op>
struct GroupArgs {
  Op op;
  int32_t channels;  // of a group
  Division quads;    // of a group's channels
};

/// One block's group.
template <class Op>
struct Group {
  const Op& op;
  int32_t channels, pixels, quads;
  int64_t number;         // index among the groups of all rows
  int32_t first_channel;  // in the row
  int64_t first;          // index of its first element in the array

  ELBO_DEVICE explicit Group(const GroupArgs<Op>& args)
      : op(args.op),
        channels(args.channels),
        pixels(op.map.pixels()),
        quads(args.quads.divisor),
        number(blockIdx.x),
        first_channel(static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(op.groups)) *
                      channels),
        first(int64_t{blockIdx.x / static_cast<unsigned>(op.groups)} * op.map.size() +
              first_channel) {}

  ELBO_DEVICE int64_t place(int32_t pixel, int32_t quad) const {
    return first + int64_t{pixel} * op.map.channels + kQuad * quad;
  }
  /// Channels from the quad's first to the end of the group: fewer than 4 if the quad is
  /// incomplete.
  ELBO_DEVICE int32_t left(int32_t quad) const { return channels - kQuad * quad; }
  ELBO_DEVICE double elements() const { return static_cast<double>(pixels) * channels; }

  /// Calls `visit(pixel, quad)` for this thread's share of the group's quads.
  template <class Visit>
  ELBO_DEVICE void for_quads(const Division& by_quads, Visit visit) const {
    for (auto i = static_cast<int32_t>(threadIdx.x); i < pixels * quads;
         i += static_cast<int32_t>(blockDim.x)) {
      const Divided item(i, by_quads);
      visit(item.quotient, item.remainder);
    }
  }
};

template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads)
    group_norm_forward_kernel(GroupArgs<GroupNormForward> args) {
  wait_for_previous_kernel();
  const GroupNormForward& op = args.op;
  const Group<GroupNormForward> group(args);
  const auto quad_of_x = [&](int32_t pixel, int32_t quad) {
    return load_quad<kVector>(op.x, group.place(pixel, quad), group.left(quad));
  };

  float sum = 0.0f;
  group.for_quads(args.quads, [&](int32_t pixel, int32_t quad) {
    const math::Float4 x = quad_of_x(pixel, quad);  // zero for absent channels
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) sum += x.value[i];
  });
  const auto mean = static_cast<float>(block_sum<double>(sum) / group.elements());

  float squares = 0.0f;
  group.for_quads(args.quads, [&](int32_t pixel, int32_t quad) {
    const math::Float4 x = quad_of_x(pixel, quad);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i)
      if (i < group.left(quad)) squares += (x.value[i] - mean) * (x.value[i] - mean);
  });
  const auto variance = static_cast<float>(block_sum<double>(squares) / group.elements());
  const float rstd = 1.0f / math::sqrt(variance + op.epsilon);
  if (threadIdx.x == 0) {
    op.mean[group.number] = mean;
    op.rstd[group.number] = rstd;
  }

  group.for_quads(args.quads, [&](int32_t pixel, int32_t quad) {
    const int32_t channel = group.first_channel + kQuad * quad, left = group.left(quad);
    const int64_t place = group.place(pixel, quad);
    const math::Float4 scale = load_quad<kVector>(op.scale + channel, left);
    const math::Float4 offset = load_quad<kVector>(op.offset + channel, left);
    math::Float4 y = quad_of_x(pixel, quad);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i)
      y.value[i] = math::fma(y.value[i] - mean, rstd * scale.value[i], offset.value[i]);
    if (op.preactivation) store_quad<kVector>(op.preactivation, place, left, y);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) y.value[i] = math::activate(op.activation, y.value[i]);
    store_quad<kVector>(op.y, place, left, y);
  });
}

/// Sums over the pixels of each channel; the sums over the group follow from these.
template <bool kVector>
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kRowThreads)
    group_norm_backward_kernel(GroupArgs<GroupNormBackward> args) {
  ELBO_SHARED(math::Float4, partial, kRowThreads);
  wait_for_previous_kernel();
  const GroupNormBackward& op = args.op;
  const Group<GroupNormBackward> group(args);
  const float mean = op.mean[group.number], rstd = op.rstd[group.number];

  const ChannelThreads threads(group.quads);
  double h = 0.0, h_x = 0.0;  // sums over the group of h = scale * grad_y and of h x̂
  for (int32_t first = 0; first < group.quads; first += threads.across) {
    const int32_t quad = first + threads.quad, left = group.left(quad);
    math::Float4 grads = {}, products = {};
    for (int32_t p = threads.place; threads.works() && left > 0 && p < group.pixels;
         p += threads.deep) {
      const int64_t place = group.place(p, quad);
      const math::Float4 grad = load_quad<kVector>(op.grad_y, place, left);
      const math::Float4 x = load_quad<kVector>(op.x, place, left);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i) {
        grads.value[i] += grad.value[i];
        products.value[i] += grad.value[i] * ((x.value[i] - mean) * rstd);
      }
    }
    grads = threads.total(grads, partial);
    products = threads.total(products, partial);
    if (threads.place != 0 || left <= 0) continue;
    const int32_t channel = group.first_channel + kQuad * quad;
    const int64_t out = group.number / op.groups * op.map.channels + channel;
    if (op.grad_offset != nullptr) store_quad<false>(op.grad_offset + out, left, grads);
    if (op.grad_scale != nullptr) store_quad<false>(op.grad_scale + out, left, products);
    const math::Float4 scale = load_quad<kVector>(op.scale + channel, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i) {
      h += static_cast<double>(scale.value[i]) * grads.value[i];
      h_x += static_cast<double>(scale.value[i]) * products.value[i];
    }
  }
  if (!op.grad_x) return;
  const auto mean_h = static_cast<float>(block_sum(h) / group.elements()) * rstd;
  const auto mean_h_x = static_cast<float>(block_sum(h_x) / group.elements()) * rstd * rstd;

  group.for_quads(args.quads, [&](int32_t pixel, int32_t quad) {
    const int64_t place = group.place(pixel, quad);
    const int32_t left = group.left(quad);
    const math::Float4 scale =
        load_quad<kVector>(op.scale + group.first_channel + kQuad * quad, left);
    const math::Float4 x = load_quad<kVector>(op.x, place, left);
    math::Float4 grad = load_quad<kVector>(op.grad_y, place, left);
    ELBO_UNROLL
    for (int i = 0; i < kQuad; ++i)
      grad.value[i] =
          grad.value[i] * (rstd * scale.value[i]) - mean_h - (x.value[i] - mean) * mean_h_x;
    if (op.saved) {
      const math::Float4 saved = load_quad<kVector>(op.saved, place, left);
      ELBO_UNROLL
      for (int i = 0; i < kQuad; ++i)
        grad.value[i] *= math::activation_derivative(op.activation, saved.value[i]);
    }
    store_quad<kVector>(op.grad_x, place, left, grad);
  });
}

namespace {

template <class Op>
GroupArgs<Op> group_args(const Op& op) {
  const int32_t channels = op.map.channels / op.groups;
  ELBO_ASSERT(channels * op.groups == op.map.channels);
  return {op, channels, Division(static_cast<int32_t>(quads_in(channels)))};
}

/// Runs one block per group of each row, with whole warps of up to one thread per quad.
template <class Op>
void launch_groups(void (*kernel)(GroupArgs<Op>), const GroupArgs<Op>& args, Stream stream) {
  const int64_t quads = int64_t{args.op.map.pixels()} * args.quads.divisor;
  launch_rows(kernel, int64_t{args.op.rows.capacity()} * args.op.groups, kQuad * quads, stream,
              args);
}

}  // namespace

void launch_op(const GroupNormForward& op, const Queue& queue) {
  const GroupArgs<GroupNormForward> args = group_args(op);
  with_vector_access({op.x.data, op.scale, op.offset, op.y.data, op.preactivation.data},
                     {args.channels}, [&](auto vector) {
                       launch_groups(group_norm_forward_kernel<decltype(vector)::value>, args,
                                     queue.stream);
                     });
}

void launch_op(const GroupNormBackward& op, const Queue& queue) {
  const GroupArgs<GroupNormBackward> args = group_args(op);
  with_vector_access({op.grad_y.data, op.x.data, op.scale, op.saved.data, op.grad_x.data},
                     {args.channels}, [&](auto vector) {
                       launch_groups(group_norm_backward_kernel<decltype(vector)::value>, args,
                                     queue.stream);
                     });
}

}  // namespace elbo::cuda
