#include "bench/calibrate/gemm_shapes.hpp"

#include <cmath>

namespace elbo::calibrate {

double Model::step_bytes(int64_t batch) const {
  double bytes = 0.0;
  for (const Layer& layer : layers) {
    const auto in = static_cast<double>(layer.inputs), out = static_cast<double>(layer.outputs);
    bytes += 16.0 * in * out + 8.0 * static_cast<double>(batch) * out;
  }
  return bytes;
}

const std::vector<Model>& models() {
  // {inputs, outputs, ReLU before, ReLU after, needs the gradient of its inputs}
  static const std::vector<Model> all = {
      {"784-400-z20",
       {{784, 400, false, true, false},
        {400, 40, true, false},
        {24, 400, false, true},
        {400, 784, true, false}},
       true},
      {"784-512-256-z32",
       {{784, 512, false, true, false},
        {512, 256, true, true},
        {256, 64, true, false},
        {32, 256, false, true},
        {256, 512, true, true},
        {512, 784, true, false}},
       true},
      {"784-200-200-z50",
       {{784, 200, false, true, false},
        {200, 200, true, true},
        {200, 104, true, false},
        {56, 200, false, true},
        {200, 784, true, false}},
       true},
      {"12288-4096-2048-z256",
       {{12288, 4096, false, true, false},
        {4096, 2048, true, true},
        {2048, 512, true, false},
        {256, 2048, false, true},
        {2048, 4096, true, true},
        {4096, 12288, true, false}},
       false},
  };
  return all;
}

std::string_view name_of(Pass pass) {
  constexpr std::string_view kNames[] = {"forward", "input gradient", "weight gradient"};
  return kNames[static_cast<size_t>(pass)];
}

std::string_view name_of(Epilogue epilogue) {
  constexpr std::string_view kNames[] = {"DEFAULT", "BIAS",        "RELU_BIAS", "RELU_AUX_BIAS",
                                         "DRELU",   "DRELU_BGRAD", "BGRADB"};
  return kNames[static_cast<size_t>(epilogue)];
}

std::string_view name_of(Precision precision) {
  constexpr std::string_view kNames[] = {"fp32", "tf32", "bf16"};
  return kNames[static_cast<size_t>(precision)];
}

std::vector<Epilogue> epilogues(const Layer& layer, Pass pass) {
  switch (pass) {
    case Pass::forward:
      if (layer.relu_after)
        return {Epilogue::plain, Epilogue::bias, Epilogue::relu_bias, Epilogue::relu_aux_bias};
      return {Epilogue::plain, Epilogue::bias};
    case Pass::input_gradient:
      if (layer.relu_before) return {Epilogue::plain, Epilogue::drelu, Epilogue::drelu_bgrad};
      return {Epilogue::plain};
    case Pass::weight_gradient:
      return {Epilogue::plain, Epilogue::bgradb};
  }
  return {};
}

bool adds_bias(Epilogue epilogue) {
  return epilogue == Epilogue::bias || epilogue == Epilogue::relu_bias ||
         epilogue == Epilogue::relu_aux_bias;
}
bool is_relu(Epilogue epilogue) {
  return epilogue == Epilogue::relu_bias || epilogue == Epilogue::relu_aux_bias;
}
bool reads_mask(Epilogue epilogue) {
  return epilogue == Epilogue::drelu || epilogue == Epilogue::drelu_bgrad;
}
bool writes_bias_gradient(Epilogue epilogue) {
  return epilogue == Epilogue::drelu_bgrad || epilogue == Epilogue::bgradb;
}

// Operands are exact in fp32 and bf16. TF32 keeps 10 bits of each of two operands and may truncate
// the rest: 2 * 2^-10. A stored bf16 is within 2^-8. Strict fp32 rounds partial sums to nearest:
// their errors are independent and grow with sqrt(terms) * 2^-24 (times 4 for safety). Matrix units
// may truncate partial sums instead, whose errors add up to terms * 2^-23.
double error_bound(Precision precision, bool bf16_output, int64_t terms) {
  const auto count = static_cast<double>(terms);
  const double input = precision == Precision::tf32 ? 0x1p-9 : 0.0;
  const double output = bf16_output ? 0x1p-8 : 0x1p-24;
  const double sum =
      precision == Precision::fp32 ? 4.0 * 0x1p-24 * std::sqrt(count) : 0x1p-23 * count;
  return input + output + sum;
}

int64_t Product::m() const { return pass == Pass::forward ? layer->outputs : layer->inputs; }

int64_t Product::n() const { return pass == Pass::weight_gradient ? layer->outputs : batch; }

int64_t Product::k() const {
  if (pass == Pass::weight_gradient) return batch;
  return pass == Pass::forward ? layer->inputs : layer->outputs;
}

bool Product::bf16_output() const {
  if (precision != Precision::bf16) return false;
  return (pass == Pass::forward && layer->relu_after) ||
         (pass == Pass::input_gradient && layer->relu_before);
}

std::string Product::name() const {
  return std::string(model->name) + "/B=" + std::to_string(batch) + "/" +
         std::to_string(layer->inputs) + "x" + std::to_string(layer->outputs) + "/" +
         std::string(name_of(pass)) + "/" + std::string(name_of(precision));
}

std::vector<Product> products() {
  std::vector<Product> all;
  for (const int64_t batch : {128, 8192, 1024})
    for (const Precision precision : {Precision::tf32, Precision::bf16, Precision::fp32})
      for (const Model& model : models()) {
        if (precision == Precision::fp32 && !model.fp32) continue;
        for (const Layer& layer : model.layers)
          for (const Pass pass : {Pass::forward, Pass::input_gradient, Pass::weight_gradient})
            if (pass != Pass::input_gradient || layer.needs_input_gradient)
              all.push_back({&model, &layer, pass, precision, batch});
      }
  return all;
}

}  // namespace elbo::calibrate
