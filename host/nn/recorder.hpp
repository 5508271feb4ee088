// Recording a program: ops are appended in the order they will run, and the tensors between them
// are allocated on the way.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "host/nn/parameters.hpp"
#include "kernels/buffer.hpp"
#include "kernels/core/precision.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

/// A [rows, columns] tensor in a recorded program. Where an activation made it, `activation` and
/// `saved` are what that activation's derivative needs; gradients are always taken before it.
struct Value {
  Reals data;
  Rows rows;
  int32_t columns = 0;
  math::Activation activation = math::Activation::of<math::Identity>();
  ConstReals saved = {};
  Format gradient = Format::f32;  // how its gradient is stored

  float* f32() const {
    ELBO_ASSERT(data.format == Format::f32);
    return data.f32();
  }
};

class Recorder {
 public:
  Recorder(std::shared_ptr<Device> device, const Arena& arena,
           Precision precision = Precision::fp32)
      : device_(std::move(device)), arena_(arena), precision_(precision) {}

  void add(Op op) { program_.push_back(std::move(op)); }

  /// A fresh tensor on the device, zero at first.
  Value tensor(Rows rows, int32_t columns, Format format = Format::f32) {
    const int64_t count = static_cast<int64_t>(rows.capacity()) * columns;
    return {{floats(format == Format::f32 ? count : (count + 1) / 2), format}, rows, columns};
  }
  float* floats(int64_t count) {
    buffers_.emplace_back(device_, static_cast<size_t>(count), "a batch's activations");
    return buffers_.back().data();
  }

  /// One float with this value.
  const float* constant(float value) {
    float* place = floats(1);
    device_->upload(place, &value, sizeof value);
    return place;
  }

  const Arena& arena() const { return arena_; }
  /// How what enters products is stored.
  Format factor_format() const { return elbo::factor_format(precision_); }
  bool tf32() const { return precision_ == Precision::tf32; }

  /// Weights as products take them.
  ConstReals factor(int64_t offset) const {
    if (precision_ == Precision::bf16) return weight_bf16(offset);
    return weight(offset);
  }
  /// The copy of the weights in bfloat16; null where training has none.
  const math::Bfloat16* weight_bf16(int64_t offset) const {
    return precision_ == Precision::bf16 ? arena_.weights_bf16.data() + offset : nullptr;
  }
  const float* weight(int64_t offset) const { return arena_.weights.data() + offset; }
  float* gradient(int64_t offset) const { return arena_.gradients.data() + offset; }

  const Program& program() const { return program_; }
  /// The tensors' memory; must outlive every run of the program.
  std::vector<Buffer<float>> take_buffers() { return std::move(buffers_); }

 private:
  std::shared_ptr<Device> device_;
  const Arena& arena_;
  Precision precision_;
  Program program_;
  std::vector<Buffer<float>> buffers_;
};

}  // namespace elbo
