// The matrix products to measure: three per layer of four models. The smallest models fit in the L2
// cache; the largest is bound by arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::calibrate {

/// A dense layer. Its widths are multiples of 8, because elbo pads them so on a GPU: the columns of
/// a column-major matrix are then aligned in every type.
struct Layer {
  int64_t inputs, outputs;
  bool relu_before, relu_after;
  bool needs_input_gradient = true;
};

struct Model {
  std::string_view name;
  std::vector<Layer> layers;  // distinct layers; mean and log-variance are one layer
  bool fp32;                  // also measured in strict fp32

  /// Returns the bytes that a training step accesses at a batch size, in fp32: weights with their
  /// gradients and Adam moments, activations with their gradients.
  double step_bytes(int64_t batch) const;
};

const std::vector<Model>& models();

enum class Pass { forward, input_gradient, weight_gradient };
enum class Epilogue { plain, bias, relu_bias, relu_aux_bias, drelu, drelu_bgrad, bgradb };
enum class Precision { fp32, tf32, bf16 };

std::string_view name_of(Pass pass);
std::string_view name_of(Epilogue epilogue);  // in cuBLASLt
std::string_view name_of(Precision precision);

/// Returns the epilogues that a layer can use in a pass, the plain one first.
std::vector<Epilogue> epilogues(const Layer& layer, Pass pass);

bool adds_bias(Epilogue epilogue);
bool is_relu(Epilogue epilogue);
bool reads_mask(Epilogue epilogue);
bool writes_bias_gradient(Epilogue epilogue);

/// The matrix product of a layer in one pass, at a batch size and in a precision
struct Product {
  const Model* model;
  const Layer* layer;
  Pass pass;
  Precision precision;
  int64_t batch;

  /// Dimensions of d = op(a) op(b), column-major: forward W^T x, input gradient W dy, weight
  /// gradient x dy^T.
  int64_t m() const;
  int64_t n() const;
  int64_t k() const;
  bool a_transposed() const { return pass == Pass::forward; }
  bool b_transposed() const { return pass == Pass::weight_gradient; }
  /// True for hidden activations and their gradients in bf16. All other outputs are stored in fp32.
  bool bf16_output() const;
  std::string name() const;
};

/// Returns an upper bound of ‖sums - exact‖ / ‖exact‖ for sums of `terms` products of independent
/// normals.
double error_bound(Precision precision, bool bf16_output, int64_t terms);

/// Returns all products, the most important ones first.
std::vector<Product> products();

}  // namespace elbo::calibrate
