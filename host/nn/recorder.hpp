// Recording a program: ops are appended in the order they will run, and the tensors between them
// are allocated on the way.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "host/nn/parameters.hpp"
#include "kernels/buffer.hpp"
#include "kernels/math/activation.hpp"

namespace elbo {

/// A [rows, columns] tensor in a recorded program. Where an activation made it, `activation` and
/// `saved` are what that activation's derivative needs; gradients are always taken before it.
struct Value {
  float* data = nullptr;
  Rows rows;
  int32_t columns = 0;
  math::Activation activation = math::Activation::of<math::Identity>();
  const float* saved = nullptr;
};

class Recorder {
 public:
  Recorder(std::shared_ptr<Device> device, const Arena& arena)
      : device_(std::move(device)), arena_(arena) {}

  void add(Op op) { program_.push_back(std::move(op)); }

  /// A fresh tensor on the device, zero at first.
  Value tensor(Rows rows, int32_t columns) {
    return {floats(static_cast<int64_t>(rows.capacity()) * columns), rows, columns};
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
  const float* weight(int64_t offset) const { return arena_.weights.data() + offset; }
  float* gradient(int64_t offset) const { return arena_.gradients.data() + offset; }

  const Program& program() const { return program_; }
  /// The tensors' memory; must outlive every run of the program.
  std::vector<Buffer<float>> take_buffers() { return std::move(buffers_); }

 private:
  std::shared_ptr<Device> device_;
  const Arena& arena_;
  Program program_;
  std::vector<Buffer<float>> buffers_;
};

}  // namespace elbo
