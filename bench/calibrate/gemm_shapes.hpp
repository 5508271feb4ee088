// What the matrix products are measured on: the layers of four models, from ones that fit in the L2
// cache to one that is bound by arithmetic, with the three products of each layer.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::calibrate {

/// A dense layer. Widths are multiples of 8, as elbo pads them on a GPU: matrices by columns then
/// have aligned columns in every type.
struct Layer {
  int64_t inputs, outputs;
  bool relu_before, relu_after;
  bool needs_input_gradient = true;
};

struct Model {
  std::string_view name;
  std::vector<Layer> layers;  // distinct ones; mean and log-variance are one layer
  bool fp32;                  // measured in strict fp32 too

  /// Bytes one training step touches at a batch size, in fp32: weights with gradients and Adam's
  /// moments, activations with gradients.
  double step_bytes(int64_t batch) const;
};

const std::vector<Model>& models();

enum class Pass { forward, input_gradient, weight_gradient };
enum class Epilogue { plain, bias, relu_bias, relu_aux_bias, drelu, drelu_bgrad, bgradb };
enum class Precision { fp32, tf32, bf16 };

std::string_view name_of(Pass pass);
std::string_view name_of(Epilogue epilogue);  // cuBLASLt's
std::string_view name_of(Precision precision);

/// The epilogues a layer can use in a pass, the plain one first.
std::vector<Epilogue> epilogues(const Layer& layer, Pass pass);

bool adds_bias(Epilogue epilogue);
bool is_relu(Epilogue epilogue);
bool reads_mask(Epilogue epilogue);
bool writes_bias_gradient(Epilogue epilogue);

/// One product: what a layer does in a pass, for a batch, in a precision.
struct Product {
  const Model* model;
  const Layer* layer;
  Pass pass;
  Precision precision;
  int64_t batch;

  /// Of d = op(a) op(b) by columns: forward W^T x, input gradient W dy, weight gradient x dy^T.
  int64_t m() const;
  int64_t n() const;
  int64_t k() const;
  bool a_transposed() const { return pass == Pass::forward; }
  bool b_transposed() const { return pass == Pass::weight_gradient; }
  /// In bf16 hidden activations and their gradients are stored so; everything else is fp32.
  bool bf16_output() const;
  std::string name() const;
};

/// Bound of ‖sums - exact‖ / ‖exact‖ for sums of `terms` products of independent normals.
double error_bound(Precision precision, bool bf16_output, int64_t terms);

/// All of them, in the order they are worth measuring.
std::vector<Product> products();

}  // namespace elbo::calibrate
