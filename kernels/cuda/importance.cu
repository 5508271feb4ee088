#include "kernels/cuda/execution.cuh"
#include "kernels/cuda/row_groups.cuh"
#include "kernels/math/elementary.hpp"

namespace elbo::cuda {

/// Returns the largest `value` over a group of lanes, in each of them; the whole warp must call.
ELBO_DEVICE float group_max(float value, int32_t lanes) {
  for (int32_t offset = lanes / 2; offset > 0; offset /= 2)
    value = math::max(value, __shfl_xor_sync(kFullWarp, value, offset));
  return value;
}

/// Over the samples of one input: the largest value v of beta * log_ratio - nll, and the sum of
/// e^(v - largest).
struct Exponentials {
  float largest;
  float sum;

  /// The whole warp must call.
  ELBO_DEVICE Exponentials(const ImportanceWeights& op, const GroupPlace& place, int32_t lanes,
                           bool active, float beta) {
    const int64_t first = place.first(op.samples);
    largest = active ? beta * op.log_ratio[first] - op.nll[first] : 0.0f;
    for (int32_t l = place.lane; active && l < op.samples; l += lanes)
      largest = math::max(largest, beta * op.log_ratio[first + l] - op.nll[first + l]);
    largest = group_max(largest, lanes);
    sum = 0.0f;
    for (int32_t l = place.lane; active && l < op.samples; l += lanes)
      sum += math::exp((beta * op.log_ratio[first + l] - op.nll[first + l]) - largest);
    sum = group_sum(sum, lanes);
  }
};

/// An input per group of lanes.
ELBO_KERNEL void ELBO_LAUNCH_BOUNDS(kGroupThreads)
    importance_weights_kernel(RowGroupArgs<ImportanceWeights> args) {
  wait_for_previous_kernel();
  const ImportanceWeights& op = args.op;
  const GroupPlace place(args);
  const bool active = place.row < op.inputs.active();
  const float beta = op.inputs.state->beta;
  const auto samples = static_cast<float>(op.samples);
  const Exponentials w(op, place, args.lanes, active, 1.0f);
  if (place.lane == 0 && active)
    op.bound[place.row] = w.largest + (math::log_exp_sum(w.sum) - math::log(samples));
  if (op.weight == nullptr) return;
  const Exponentials v(op, place, args.lanes, active, beta);
  const float scale = samples / v.sum;
  const int64_t first = place.first(op.samples);
  for (int32_t l = place.lane; active && l < op.samples; l += args.lanes)
    op.weight[first + l] =
        scale * math::exp((beta * op.log_ratio[first + l] - op.nll[first + l]) - v.largest);
}

void launch_op(const ImportanceWeights& op, const Queue& queue) {
  launch_row_groups(importance_weights_kernel, op.inputs.capacity(), op.samples, op, queue.stream);
}

}  // namespace elbo::cuda
