// Records a program. Ops are appended in the order in which they will run, and the tensors between
// them are allocated. Forward ops put functions on a tape that record their backward ops, which
// backward() calls.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "host/nn/parameters.hpp"
#include "kernels/buffer.hpp"
#include "kernels/core/precision.hpp"
#include "kernels/math/activation.hpp"
#include "kernels/program.hpp"

namespace elbo {

/// A [rows, columns] tensor in a recorded program. For the output of an activation, `activation`
/// and `saved` are the operands of its derivative; gradients always refer to the pre-activation.
struct Value {
  Reals data;
  Rows rows;
  int32_t columns = 0;
  math::Activation activation = math::Activation::of<math::Identity>();
  ConstReals saved = {};
  Format gradient = Format::f32;  // how its gradient is stored
  int node = -1;                  // index on the recorder's tape; -1: no gradient reaches it

  /// The data if they are bfloat16, else null.
  math::Bfloat16* bf16() const {
    return data.format == Format::bf16 ? data.as<math::Bfloat16>() : nullptr;
  }
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

  /// A new tensor on the device, initially zero.
  Value tensor(Rows rows, int32_t columns, Format format = Format::f32);
  float* floats(int64_t count);
  /// `count` floats with this value.
  const float* constants(int64_t count, float value);
  /// `value` as an operand of products: itself, or a copy in bfloat16.
  Value as_factor(const Value& value);

  const Arena& arena() const { return arena_; }
  /// Format of operands of products.
  Format factor_format() const { return elbo::factor_format(precision_, device_->kind()); }
  Precision precision() const { return precision_; }

  /// Weights as operands of products.
  ConstReals factor(int64_t offset) const;
  /// The copy of the weights in bfloat16; null if training has none.
  const math::Bfloat16* weight_bf16(int64_t offset) const {
    return arena_.weights_bf16.empty() ? nullptr : arena_.weights_bf16.data() + offset;
  }
  const float* weight(int64_t offset) const { return arena_.weights.data() + offset; }
  float* gradient(int64_t offset) const { return arena_.gradients.data() + offset; }

  /// Receives the gradient at a value's pre-activation and appends the ops that propagate it.
  using Backward = std::function<void(const Value& gradient)>;

  /// From now on, backward() computes the gradients of the parameters in `trained` only.
  void train(ParameterRange trained);
  /// Puts `value`, computed from `inputs` and from the parameters at `parameters`, on the tape.
  void on_tape(Value& value, std::initializer_list<Value> inputs,
               std::initializer_list<int64_t> parameters, Backward backward);
  /// True if `value` depends on trained parameters.
  bool wants_gradient(const Value& value) const;
  bool trains(int64_t parameter) const { return trained_.contains(parameter); }
  /// Returns true if another use of this parameter has written its gradient: the caller must then
  /// add its own instead of writing it. Marks the gradient as written.
  bool has_gradient(int64_t parameter) { return !written_.insert(parameter).second; }
  /// Adds a part of the gradient at a value's pre-activation, for its first gradient.columns
  /// columns. The tape takes the memory.
  void add_gradient(const Value& value, const Value& gradient);
  /// The memory for a loss's gradient at `output`: in place, or in bfloat16 beside it.
  Value loss_gradient(const Value& output);
  /// Appends the ops that propagate the gradients added so far to the trained parameters.
  void backward();

  const Program& program() const { return program_; }
  /// The tensors' memory; must outlive every run of the program.
  std::vector<Buffer<float>> take_buffers() { return std::move(buffers_); }

 private:
  struct Node {
    Value value;
    std::vector<int> inputs;
    std::vector<int64_t> parameters;
    Backward backward;
    std::vector<Value> gradients;
    bool wanted = false;
  };
  bool wants(const Node& node) const;
  Value total(const Node& node);

  std::shared_ptr<Device> device_;
  const Arena& arena_;
  Precision precision_;
  Program program_;
  std::vector<Buffer<float>> buffers_;
  ParameterRange trained_;
  std::vector<Node> tape_;
  std::set<int64_t> written_;
};

}  // namespace elbo
