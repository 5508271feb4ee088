// The precision of products and stored values in a training. Weights, heads (posterior and
// likelihood parameters), sums and losses are float in all of them.
#pragma once

#include <cstdint>

namespace elbo {

enum class Precision : uint8_t {
  fp32,  // float throughout
  tf32,  // products round their operands to TF32, 10 mantissa bits
  bf16,  // products round their operands to bfloat16; CUDA stores these in bfloat16: activations,
         // their gradients, a copy of the weights
};

/// The name that users read: "fp32", "tf32", "bf16".
constexpr const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return "fp32";
    case Precision::tf32:
      return "tf32";
    case Precision::bf16:
      return "bf16";
  }
  return "?";
}

}  // namespace elbo
