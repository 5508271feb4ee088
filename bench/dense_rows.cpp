// Rows of the dense layers: a 784-400 layer at small, usual and large batches, and every
// activation once.
#include "bench/row.hpp"

namespace elbo::bench {
namespace {

constexpr int32_t kIn = 784, kOut = 400;
constexpr int32_t kBatches[] = {20, 128, 1024};
constexpr auto kRelu = math::Activation::of<math::Relu>();

std::string row_name(std::string_view op, math::Activation activation, int32_t batch) {
  return std::string(op) + "/" + std::string(activation.name()) +
         "/784x400/B=" + std::to_string(batch);
}

bool derivative_from_input(math::Activation activation) {
  bool answer = false;
  activation.visit([&](auto a) { answer = decltype(a)::derivative_from_input; });
  return answer;
}

/// Calls `add(activation, batch)` for ReLU at every batch and for the others at the usual one.
template <class Add>
void for_activations_and_batches(Add add) {
  for (const int32_t batch : kBatches) add(kRelu, batch);
  for (int i = 0; i < math::Activations::size; ++i)
    if (const math::Activation activation = {i}; activation != kRelu) add(activation, 128);
}

float* weights(Workspace& w) { return w.uniforms(int64_t{kIn} * kOut, -0.08f, 0.08f); }

}  // namespace

template <>
void add_rows<DenseForward>(Rows& rows) {
  for_activations_and_batches([&](math::Activation activation, int32_t batch) {
    rows.push_back(op_row(row_name(DenseForward::name, activation, batch), Ceiling::matrix_product,
                          [=](Workspace& w) {
                            const int64_t outputs = int64_t{batch} * kOut;
                            return DenseForward{.rows = {w.state(batch), batch},
                                                .in = kIn,
                                                .out = kOut,
                                                .activation = activation,
                                                .x = w.uniforms(int64_t{batch} * kIn, 0.0f, 1.0f),
                                                .weight = weights(w),
                                                .bias = w.uniforms(kOut, -0.1f, 0.1f),
                                                .y = w.zeros(outputs),
                                                .preactivation = derivative_from_input(activation)
                                                                     ? w.zeros(outputs)
                                                                     : nullptr};
                          }));
  });
}

template <>
void add_rows<DenseBackwardInput>(Rows& rows) {
  for_activations_and_batches([&](math::Activation activation, int32_t batch) {
    rows.push_back(op_row(row_name(DenseBackwardInput::name, activation, batch),
                          Ceiling::matrix_product, [=](Workspace& w) {
                            const int64_t inputs = int64_t{batch} * kIn;
                            return DenseBackwardInput{
                                .rows = {w.state(batch), batch},
                                .in = kIn,
                                .out = kOut,
                                .activation = activation,
                                .grad_y = w.uniforms(int64_t{batch} * kOut, -1.0f, 1.0f),
                                .weight = weights(w),
                                .saved = w.uniforms(inputs, -0.5f, 0.9f),
                                .grad_x = w.zeros(inputs)};
                          }));
  });
}

template <>
void add_rows<DenseBackwardWeights>(Rows& rows) {
  for (const int32_t batch : kBatches)
    rows.push_back(op_row(
        std::string(DenseBackwardWeights::name) + "/784x400/B=" + std::to_string(batch),
        Ceiling::matrix_product, [=](Workspace& w) {
          return DenseBackwardWeights{.rows = {w.state(batch), batch},
                                      .in = kIn,
                                      .out = kOut,
                                      .grad_y = w.uniforms(int64_t{batch} * kOut, -1.0f, 1.0f),
                                      .x = w.uniforms(int64_t{batch} * kIn, 0.0f, 1.0f),
                                      .grad_weight = w.zeros(int64_t{kIn} * kOut),
                                      .grad_bias = w.zeros(kOut)};
        }));
}

}  // namespace elbo::bench
