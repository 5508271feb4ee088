// Rows of dense layers: a 784-400 layer in float with ReLU at small, usual and large batches and
// with every other activation at the usual batch; every layer of two models in bfloat16 and, on a
// GPU, in TF32.
#include "bench/row.hpp"
#include "kernels/core/precision.hpp"

namespace elbo::bench {
namespace {

constexpr auto kRelu = math::Activation::of<math::Relu>();
constexpr auto kIdentity = math::Activation::of<math::Identity>();

/// A dense layer as it occurs in a training step.
struct Layer {
  int32_t in, out;
  math::Activation below = kIdentity;  // the activation that produced the layer's input
  math::Activation above = kIdentity;  // the layer's own activation
};

/// True if a step needs the gradient at the layer's input. Data (784 wide) need none.
bool has_input_gradient(const Layer& layer) { return layer.in != 784; }

/// The layers of 784-400-z20 with a Bernoulli likelihood and of 784-512-256-z32 with a Gaussian
/// one: encoder, posterior heads, decoder, output layer.
constexpr Layer kLayers[] = {{784, 400, kIdentity, kRelu}, {400, 40, kRelu, kIdentity},
                             {20, 400, kIdentity, kRelu},  {400, 784, kRelu, kIdentity},
                             {784, 512, kIdentity, kRelu}, {512, 256, kRelu, kRelu},
                             {256, 64, kRelu, kIdentity},  {32, 256, kIdentity, kRelu},
                             {256, 512, kRelu, kRelu},     {512, 1568, kRelu, kIdentity}};

struct Shape {
  Layer layer;
  int32_t batch;
  Precision precision = Precision::fp32;

  std::optional<DeviceKind> only = std::nullopt;

  Format factor() const { return factor_format(precision, only.value_or(DeviceKind::cpu)); }
  /// The outputs of layers without activation are floats in every precision, and so is the gradient
  /// at an input that no activation produced (a code).
  Format output() const { return layer.above == kIdentity ? Format::f32 : factor(); }
  Format input_gradient() const { return layer.below == kIdentity ? Format::f32 : factor(); }
  int64_t inputs() const { return int64_t{batch} * layer.in; }
  int64_t outputs() const { return int64_t{batch} * layer.out; }
  int64_t weights() const { return int64_t{layer.in} * layer.out; }

  std::string row_name(std::string_view op, std::string_view variant) const {
    std::string name(op);
    if (!variant.empty()) name.append("/").append(variant);
    name += "/" + std::to_string(layer.in) + "x" + std::to_string(layer.out) +
            "/B=" + std::to_string(batch);
    if (precision != Precision::fp32) name.append("/").append(name_of(precision));
    return name;
  }
};

Reals weights(Workspace& w, const Shape& s) {
  return w.uniforms(s.factor(), s.weights(), -0.08f, 0.08f);
}

DenseForward forward(Workspace& w, const Shape& s) {
  bool keeps_preactivation = false;
  s.layer.above.visit([&](auto a) { keeps_preactivation = decltype(a)::derivative_from_input; });
  return {.rows = {w.state(s.batch), s.batch},
          .in = s.layer.in,
          .out = s.layer.out,
          .activation = s.layer.above,
          .x = w.uniforms(s.factor(), s.inputs(), 0.0f, 1.0f),
          .weight = weights(w, s),
          .bias = w.uniforms(s.layer.out, -0.1f, 0.1f),
          .y = w.zeros(s.output(), s.outputs()),
          .preactivation = keeps_preactivation ? w.zeros(s.output(), s.outputs()) : nullptr,
          .precision = s.precision};
}

DenseBackwardInput backward_input(Workspace& w, const Shape& s) {
  return {.rows = {w.state(s.batch), s.batch},
          .in = s.layer.in,
          .out = s.layer.out,
          .activation = s.layer.below,
          .grad_y = w.uniforms(s.factor(), s.outputs(), -1.0f, 1.0f),
          .weight = weights(w, s),
          .saved = w.uniforms(s.input_gradient(), s.inputs(), -0.5f, 0.9f),
          .grad_x = w.zeros(s.input_gradient(), s.inputs()),
          .precision = s.precision};
}

/// backward_input() of a layer whose input is a code, which no activation produced.
DenseBackwardInput backward_input_without_activation(Workspace& w, const Shape& s) {
  DenseBackwardInput op = backward_input(w, s);
  op.saved = nullptr;
  return op;
}

DenseBackwardWeights backward_weights(Workspace& w, const Shape& s) {
  return {.rows = {w.state(s.batch), s.batch},
          .in = s.layer.in,
          .out = s.layer.out,
          .grad_y = w.uniforms(s.factor(), s.outputs(), -1.0f, 1.0f),
          .x = w.uniforms(s.factor(), s.inputs(), 0.0f, 1.0f),
          .grad_weight = w.zeros(s.weights()),
          .grad_bias = w.zeros(s.layer.out),
          .precision = s.precision};
}

/// backward_weights() of a layer that is used twice in a step: adds to the gradients of the first
/// use.
DenseBackwardWeights more_backward_weights(Workspace& w, const Shape& s) {
  DenseBackwardWeights op = backward_weights(w, s);
  op.accumulate = true;
  op.grad_weight = w.uniforms(s.weights(), -1.0f, 1.0f);
  op.grad_bias = w.uniforms(s.layer.out, -1.0f, 1.0f);
  return op;
}

/// Calls `visit(activation, batch)` for ReLU at every batch size, and for every other activation at
/// the usual batch size.
template <class Visit>
void for_activations_and_batches(Visit visit) {
  for (const int32_t batch : {20, 128, 1024}) visit(kRelu, batch);
  for (int i = 0; i < math::Activations::size; ++i)
    if (const math::Activation activation = {i}; activation != kRelu) visit(activation, 128);
}

/// Calls `visit(shape)` for the shapes measured on a GPU, then for the bfloat16 shapes of the CPU.
template <class Visit>
void for_layers(Visit visit) {
  for (const Layer& layer : kLayers)
    for (const int32_t batch : {128, 1024, 8192})
      for (const Precision precision : {Precision::tf32, Precision::bf16})
        visit(Shape{layer, batch, precision, DeviceKind::cuda});
  for (const Layer& layer : kLayers)
    for (const int32_t batch : {20, 128, 1024})
      visit(Shape{layer, batch, Precision::bf16, DeviceKind::cpu});
}

/// Returns a row whose op is `make(workspace, shape)`.
Row dense_row(const Shape& shape, std::string_view op, std::string_view variant, auto make) {
  Row row = op_row(shape.row_name(op, variant), Ceiling::matrix_product,
                   [shape, make](Workspace& w) { return make(w, shape); });
  row.precision = shape.precision;
  row.only = shape.only;
  return row;
}

}  // namespace

template <>
void add_rows<DenseForward>(Rows& rows) {
  for_activations_and_batches([&](math::Activation activation, int32_t batch) {
    const Shape shape = {{784, 400, kIdentity, activation}, batch};
    rows.push_back(dense_row(shape, DenseForward::name, activation.name(), forward));
  });
  for_layers([&](const Shape& shape) {
    rows.push_back(dense_row(shape, DenseForward::name, shape.layer.above.name(), forward));
  });
}

template <>
void add_rows<DenseBackwardInput>(Rows& rows) {
  for_activations_and_batches([&](math::Activation activation, int32_t batch) {
    const Shape shape = {{784, 400, activation, kIdentity}, batch};
    rows.push_back(dense_row(shape, DenseBackwardInput::name, activation.name(), backward_input));
  });
  for_layers([&](const Shape& shape) {
    if (!has_input_gradient(shape.layer)) return;
    const bool activated = shape.layer.below != kIdentity;
    rows.push_back(dense_row(shape, DenseBackwardInput::name, shape.layer.below.name(),
                             activated ? backward_input : backward_input_without_activation));
  });
}

template <>
void add_rows<DenseBackwardWeights>(Rows& rows) {
  for (const int32_t batch : {20, 128, 1024})
    rows.push_back(dense_row({{784, 400, kIdentity, kRelu}, batch}, DenseBackwardWeights::name, "",
                             backward_weights));
  rows.push_back(dense_row({{784, 400, kIdentity, kRelu}, 128}, DenseBackwardWeights::name, "added",
                           more_backward_weights));
  for_layers([&](const Shape& shape) {
    rows.push_back(dense_row(shape, DenseBackwardWeights::name, "", backward_weights));
    if (shape.batch == 128)
      rows.push_back(dense_row(shape, DenseBackwardWeights::name, "added", more_backward_weights));
  });
}

}  // namespace elbo::bench
