#include "host/nn/group_norm.hpp"

#include <algorithm>

namespace elbo {

GroupNorm::GroupNorm(ParameterLayout& layout, const std::string& name, const FeatureMap& map,
                     int32_t groups, math::Activation activation)
    : map_(map),
      groups_(groups),
      activation_(activation),
      scale_(layout.add(name + ".weight", {map.channels})),
      offset_(layout.add(name + ".bias", {map.channels})) {
  ELBO_ASSERT(groups > 0 && map.channels % groups == 0);
}

void GroupNorm::initialize(std::span<float> weights, uint64_t) const {
  std::fill_n(weights.begin() + scale_, map_.channels, 1.0f);
}

Value GroupNorm::forward(Recorder& recorder, const Value& x, Format format) const {
  ELBO_ASSERT(x.columns == map_.size());
  auto [y, preactivation] = activated_output(recorder, x.rows, map_.size(), format, activation_);
  const Statistics statistics = {recorder.tensor(x.rows, groups_).f32(),
                                 recorder.tensor(x.rows, groups_).f32()};
  recorder.add(GroupNormForward{.rows = x.rows,
                                .map = map_,
                                .groups = groups_,
                                .activation = activation_,
                                .x = x.data,
                                .scale = recorder.weight(scale_),
                                .offset = recorder.weight(offset_),
                                .y = y.data,
                                .preactivation = preactivation,
                                .mean = statistics.mean,
                                .rstd = statistics.rstd});
  recorder.on_tape(y, {x}, {scale_}, [this, &recorder, x, statistics](const Value& grad_y) {
    backward(recorder, x, statistics, grad_y);
  });
  return y;
}

void GroupNorm::backward(Recorder& recorder, const Value& x, const Statistics& statistics,
                         const Value& grad_y) const {
  const bool trains = recorder.trains(scale_), passes = recorder.wants_gradient(x);
  if (!trains && !passes) return;
  GroupNormBackward op{.rows = x.rows,
                       .map = map_,
                       .groups = groups_,
                       .activation = x.activation,
                       .grad_y = grad_y.data,
                       .x = x.data,
                       .scale = recorder.weight(scale_),
                       .mean = statistics.mean,
                       .rstd = statistics.rstd,
                       .saved = x.saved,
                       .grad_x = {}};
  Value grad_x;
  if (passes) {
    grad_x = recorder.tensor(x.rows, map_.size(), x.gradient);
    op.grad_x = grad_x.data;
  }
  if (trains) {
    op.grad_scale = recorder.tensor(x.rows, map_.channels).f32();
    op.grad_offset = recorder.tensor(x.rows, map_.channels).f32();
  }
  recorder.add(op);
  if (trains) {
    const bool accumulate = recorder.has_gradient(scale_);
    const auto sum = [&](const float* rows, int64_t parameter) {
      recorder.add(ColumnSum{.rows = x.rows,
                             .columns = map_.channels,
                             .x = rows,
                             .out = recorder.gradient(parameter),
                             .accumulate = accumulate});
    };
    sum(op.grad_scale, scale_);
    sum(op.grad_offset, offset_);
  }
  if (passes) recorder.add_gradient(x, grad_x);
}

int32_t fitting_groups(int32_t channels, int32_t wanted) {
  int32_t groups = std::min(channels, wanted);
  while (channels % groups != 0) --groups;
  return groups;
}

}  // namespace elbo
