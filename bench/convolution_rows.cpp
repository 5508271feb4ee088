// Rows of convolutional layers: a model of 32x32x3 pictures in float and, on a GPU only, a model of
// 64x64x3 pictures in TF32 and bfloat16. The encoder halves the picture and doubles the channels at
// each layer, from 32 to 256. The decoder mirrors it, and layers in between keep the size.
#include "bench/row.hpp"
#include "kernels/core/precision.hpp"

namespace elbo::bench {
namespace {

constexpr auto kRelu = math::Activation::of<math::Relu>();

/// A layer whose input and output are results of a ReLU, unless they are pictures.
struct Layer {
  ConvolutionShape shape;
  bool transposed = false;
  Precision precision = Precision::fp32;
  int32_t batch = 128;

  const FeatureMap& in() const { return transposed ? shape.narrow : shape.wide; }
  const FeatureMap& out() const { return transposed ? shape.wide : shape.narrow; }
  Format factor() const { return factor_format(precision, DeviceKind::cuda); }
  static bool is_picture(const FeatureMap& map) { return map.channels == 3; }
  math::Activation above() const { return is_picture(out()) ? math::Activation{} : kRelu; }
  /// Output pictures are floats in every precision.
  Format output() const { return is_picture(out()) ? Format::f32 : factor(); }

  std::string row_name(std::string_view op, std::string_view variant) const {
    const auto size = [](const FeatureMap& map) {
      return std::to_string(map.height) + "x" + std::to_string(map.width) + "x" +
             std::to_string(map.channels);
    };
    std::string name = std::string(op) + (transposed ? "/transposed" : "/plain");
    if (!variant.empty()) name.append("-").append(variant);
    name += "/" + size(in()) + "-" + size(out()) + "/k" + std::to_string(shape.kernel) +
            "/B=" + std::to_string(batch);
    if (precision != Precision::fp32) name.append("/").append(name_of(precision));
    return name;
  }
};

/// Returns the layers of a model whose pictures are `size` pixels wide.
std::vector<Layer> layers(int32_t size, Precision precision, int32_t batch) {
  std::vector<Layer> all;
  int32_t wide = 3, channels = 32;
  for (int32_t width = size; channels <= 256; width /= 2) {
    const FeatureMap from = {width, width, wide}, to = {width / 2, width / 2, channels};
    for (const bool transposed : {false, true})
      all.push_back({{from, to, 4, 2, 1, 1}, transposed, precision, batch});
    if (channels == 64 || channels == 128)
      all.push_back({{to, to, 3, 1, 1, 1}, false, precision, batch});
    wide = channels;
    channels *= 2;
  }
  return all;
}

/// Calls `visit(layer)` for the layers measured on every device, then for those measured on a GPU.
template <class Visit>
void for_layers(Visit visit) {
  for (const Layer& layer : layers(32, Precision::fp32, 128)) visit(layer);
  for (const Precision precision : {Precision::tf32, Precision::bf16})
    for (const int32_t batch : {8, 128})
      for (const Layer& layer : layers(64, precision, batch)) visit(layer);
}

/// Adds a row whose op is `make(workspace, layer)`.
void add(Rows& rows, const Layer& layer, std::string_view op, std::string_view variant, auto make) {
  Row row = op_row(layer.row_name(op, variant), Ceiling::matrix_product,
                   [layer, make](Workspace& w) { return make(w, layer); });
  row.precision = layer.precision;
  if (layer.precision != Precision::fp32) row.only = DeviceKind::cuda;
  rows.push_back(std::move(row));
}

Reals weights(Workspace& w, const Layer& l) {
  return w.uniforms(l.factor(), l.shape.weights(), -0.08f, 0.08f);
}
int64_t inputs(const Layer& l) { return int64_t{l.batch} * l.in().size(); }
int64_t outputs(const Layer& l) { return int64_t{l.batch} * l.out().size(); }

ConvolutionBackwardWeights backward_weights(Workspace& w, const Layer& l) {
  return {.rows = {w.state(l.batch), l.batch},
          .shape = l.shape,
          .transposed = l.transposed,
          .grad_y = w.uniforms(l.factor(), outputs(l), -1.0f, 1.0f),
          .x = w.uniforms(l.factor(), inputs(l), 0.0f, 1.0f),
          .grad_weight = w.zeros(l.shape.weights()),
          .grad_bias = w.zeros(l.out().channels),
          .precision = l.precision};
}
/// backward_weights() of a layer that is used twice in a step: adds to the gradients of the first
/// use.
ConvolutionBackwardWeights more_backward_weights(Workspace& w, const Layer& l) {
  ConvolutionBackwardWeights op = backward_weights(w, l);
  op.accumulate = true;
  op.grad_weight = w.uniforms(l.shape.weights(), -1.0f, 1.0f);
  op.grad_bias = w.uniforms(l.out().channels, -1.0f, 1.0f);
  return op;
}

}  // namespace

template <>
void add_rows<ConvolutionForward>(Rows& rows) {
  for_layers([&](const Layer& layer) {
    add(rows, layer, ConvolutionForward::name, layer.above().name(),
        [](Workspace& w, const Layer& l) {
          return ConvolutionForward{.rows = {w.state(l.batch), l.batch},
                                    .shape = l.shape,
                                    .transposed = l.transposed,
                                    .activation = l.above(),
                                    .x = w.uniforms(l.factor(), inputs(l), 0.0f, 1.0f),
                                    .weight = weights(w, l),
                                    .bias = w.uniforms(l.out().channels, -0.1f, 0.1f),
                                    .y = w.zeros(l.output(), outputs(l)),
                                    .preactivation = {},
                                    .precision = l.precision};
        });
  });
}

template <>
void add_rows<ConvolutionBackwardInput>(Rows& rows) {
  for_layers([&](const Layer& layer) {
    if (Layer::is_picture(layer.in())) return;  // data need no gradient
    add(rows, layer, ConvolutionBackwardInput::name, kRelu.name(),
        [](Workspace& w, const Layer& l) {
          return ConvolutionBackwardInput{.rows = {w.state(l.batch), l.batch},
                                          .shape = l.shape,
                                          .transposed = l.transposed,
                                          .activation = kRelu,
                                          .grad_y = w.uniforms(l.factor(), outputs(l), -1.0f, 1.0f),
                                          .weight = weights(w, l),
                                          .saved = w.uniforms(l.factor(), inputs(l), -0.5f, 0.9f),
                                          .grad_x = w.zeros(l.factor(), inputs(l)),
                                          .precision = l.precision};
        });
  });
}

template <>
void add_rows<ConvolutionBackwardWeights>(Rows& rows) {
  for_layers([&](const Layer& layer) {
    add(rows, layer, ConvolutionBackwardWeights::name, "", backward_weights);
  });
  for (const bool transposed : {false, true})
    add(rows, {{{16, 16, 32}, {8, 8, 64}, 4, 2, 1, 1}, transposed},
        ConvolutionBackwardWeights::name, "added", more_backward_weights);
}

}  // namespace elbo::bench
