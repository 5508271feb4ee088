#include "host/nn/parameters.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace elbo {

int64_t Parameter::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

int64_t ParameterLayout::add(std::string name, std::vector<int64_t> shape) {
  constexpr int64_t kAlignment = 16;
  ELBO_ASSERT(find(name) == nullptr);
  parameters_.push_back({std::move(name), std::move(shape), size_});
  const Parameter& added = parameters_.back();
  size_ += (added.count() + kAlignment - 1) / kAlignment * kAlignment;
  return added.offset;
}

const Parameter* ParameterLayout::find(std::string_view name) const {
  for (const Parameter& p : parameters_)
    if (p.name == name) return &p;
  return nullptr;
}

int64_t ParameterLayout::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& p : parameters_) count += p.count();
  return count;
}

Arena Arena::for_inference(const std::shared_ptr<Device>& device, const ParameterLayout& layout) {
  Arena arena;
  arena.weights = {device, static_cast<size_t>(layout.size()), "the model's weights"};
  return arena;
}

Arena Arena::for_training(const std::shared_ptr<Device>& device, const ParameterLayout& layout,
                          Precision precision) {
  const auto size = static_cast<size_t>(layout.size());
  Arena arena = for_inference(device, layout);
  arena.gradients = {device, size, "the gradients"};
  arena.first_moments = {device, size, "the optimizer's first moments"};
  arena.second_moments = {device, size, "the optimizer's second moments"};
  if (factor_format(precision, device->kind()) == Format::bf16)
    arena.weights_bf16 = {device, size, "the weights in bfloat16"};
  return arena;
}

void Arena::set_weights(std::span<const float> values) {
  ELBO_ASSERT(values.size() == weights.size());
  weights.upload(values);
  if (weights_bf16.empty()) return;
  std::vector<math::Bfloat16> rounded(values.size());
  std::ranges::transform(values, rounded.begin(), [](float v) { return math::to_bfloat16(v); });
  weights_bf16.upload(rounded);
}

}  // namespace elbo
