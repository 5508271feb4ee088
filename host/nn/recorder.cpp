#include "host/nn/recorder.hpp"

#include <algorithm>

namespace elbo {

Value Recorder::tensor(Rows rows, int32_t columns, Format format) {
  const int64_t count = static_cast<int64_t>(rows.capacity()) * columns;
  Value value;
  value.data = {floats(format == Format::f32 ? count : (count + 1) / 2), format};
  value.rows = rows;
  value.columns = columns;
  return value;
}

float* Recorder::floats(int64_t count) {
  buffers_.emplace_back(device_, static_cast<size_t>(count), "a batch's activations");
  return buffers_.back().data();
}

const float* Recorder::constants(int64_t count, float value) {
  const std::vector<float> values(static_cast<size_t>(count), value);
  float* place = floats(count);
  device_->upload(place, values.data(), values.size() * sizeof(float));
  return place;
}

Value Recorder::as_factor(const Value& value) {
  if (value.data.format == factor_format()) return value;
  Value factor = value;
  factor.data = tensor(value.rows, value.columns, factor_format()).data;
  if (value.saved) factor.saved = factor.data;
  add(GradientSum{.rows = value.rows,
                  .columns = value.columns,
                  .terms = {{value.data, value.columns}},
                  .out = factor.data});
  return factor;
}

ConstReals Recorder::factor(int64_t offset) const {
  if (factor_format() == Format::bf16) return weight_bf16(offset);
  return weight(offset);
}

void Recorder::train(ParameterRange trained) {
  trained_ = trained;
  written_.clear();
  for (Node& node : tape_) node.wanted = wants(node);
}

bool Recorder::wants(const Node& node) const {
  return std::ranges::any_of(node.parameters, [&](int64_t p) { return trains(p); }) ||
         std::ranges::any_of(node.inputs,
                             [&](int i) { return tape_[static_cast<size_t>(i)].wanted; });
}

void Recorder::on_tape(Value& value, std::initializer_list<Value> inputs,
                       std::initializer_list<int64_t> parameters, Backward backward) {
  Node node;
  for (const Value& input : inputs)
    if (input.node >= 0) node.inputs.push_back(input.node);
  node.parameters = parameters;
  node.backward = std::move(backward);
  node.wanted = wants(node);
  value.node = static_cast<int>(tape_.size());
  node.value = value;
  tape_.push_back(std::move(node));
}

bool Recorder::wants_gradient(const Value& value) const {
  return value.node >= 0 && tape_[static_cast<size_t>(value.node)].wanted;
}

void Recorder::add_gradient(const Value& value, const Value& gradient) {
  ELBO_ASSERT(wants_gradient(value) && gradient.columns <= value.columns);
  tape_[static_cast<size_t>(value.node)].gradients.push_back(gradient);
}

Value Recorder::loss_gradient(const Value& output) {
  if (factor_format() == output.data.format) return output;
  return tensor(output.rows, output.columns, factor_format());
}

Value Recorder::total(const Node& node) {
  const std::vector<Value>& parts = node.gradients;
  const auto fits = [&](const Value& part) {
    return part.columns == node.value.columns && part.data.format == node.value.gradient;
  };
  const auto place = std::ranges::find_if(parts, fits);
  if (parts.size() == 1 && place != parts.end()) return parts.front();
  ELBO_ASSERT(parts.size() <= GradientSum::kMostTerms);
  Value sum = place != parts.end()
                  ? *place
                  : tensor(node.value.rows, node.value.columns, node.value.gradient);
  GradientSum op{.rows = node.value.rows, .columns = node.value.columns, .out = sum.data};
  for (size_t i = 0; i < parts.size(); ++i) op.terms[i] = {parts[i].data, parts[i].columns};
  add(op);
  return sum;
}

void Recorder::backward() {
  for (size_t i = tape_.size(); i-- > 0;) {
    if (tape_[i].gradients.empty()) continue;
    const Value gradient = total(tape_[i]);
    tape_[i].gradients.clear();
    tape_[i].backward(gradient);
  }
}

}  // namespace elbo
