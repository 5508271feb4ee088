// All parameters of a model in one arena: one buffer of weights, one of gradients, two of moments,
// and a table of the named tensors in them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/buffer.hpp"
#include "kernels/core/precision.hpp"

namespace elbo {

/// A tensor in the arena: `count()` floats from `offset`, row-major.
struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;

  int64_t count() const;
};

/// The floats [begin, end) of the arena.
struct ParameterRange {
  int64_t begin = 0;
  int64_t end = 0;

  bool contains(int64_t offset) const { return begin <= offset && offset < end; }
  int64_t size() const { return end - begin; }
};

/// The table of tensors. Offsets are multiples of 16 floats, so that rows start aligned; the gaps
/// are zero and stay zero.
class ParameterLayout {
 public:
  /// Appends a tensor and returns its offset.
  int64_t add(std::string name, std::vector<int64_t> shape);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// The tensor of that name; null if there is none.
  const Parameter* find(std::string_view name) const;
  /// Floats in the arena, gaps included.
  int64_t size() const { return size_; }
  /// Floats in the tensors.
  int64_t parameter_count() const;

 private:
  std::vector<Parameter> parameters_;
  int64_t size_ = 0;
};

/// The weights of a model on a device, with gradients and moments in training.
struct Arena {
  Buffer<float> weights;
  Buffer<math::Bfloat16> weights_bf16;  // a copy of the weights, for training in bf16
  Buffer<float> gradients;              // empty unless training
  Buffer<float> first_moments;          // empty unless training
  Buffer<float> second_moments;         // empty unless training

  static Arena for_inference(const std::shared_ptr<Device>& device, const ParameterLayout& layout);
  static Arena for_training(const std::shared_ptr<Device>& device, const ParameterLayout& layout,
                            Precision precision);

  /// All weights, gaps included, and the copy of them if there is one.
  void set_weights(std::span<const float> values);
};

}  // namespace elbo
