// In what precision a training multiplies and stores. Weights, heads (posterior and likelihood
// parameters), sums and losses are float in all of them.
#pragma once

#include <cstdint>

namespace elbo {

enum class Precision : uint8_t {
  fp32,  // float throughout
  tf32,  // products round their factors to TF32, 10 mantissa bits
  bf16,  // products round their factors to bfloat16, which CUDA stores in that format: activations,
         // their gradients, a copy of the weights
};

/// The name users see: "fp32", "tf32", "bf16".
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
