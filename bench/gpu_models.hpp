// Peak rates of the GPUs that `elbo_bench plan` makes predictions for, with the source of each.
#pragma once

#include <span>
#include <string_view>

#include "kernels/core/precision.hpp"

namespace elbo::bench {

/// Source of a rate. measured: by this project, or published for that GPU; datasheet: NVIDIA's,
/// without sparsity; lead: an estimate, which must be measured before it is quoted.
enum class Source { measured, datasheet, lead };
const char* name_of(Source source);

struct Rate {
  double value = 0.0;
  Source source = Source::lead;
};

struct GpuModel {
  std::string_view key;   // h200
  std::string_view name;  // H200 SXM
  Rate copy;              // TB/s, bytes read plus bytes written
  Rate l2;                // MB
  Rate fp32, tf32, bf16;  // TFLOP/s of large matrix products
  Rate edge;              // us from the end of a kernel to the start of the next one in a graph

  const Rate& product(Precision precision) const;
};

std::span<const GpuModel> gpu_models();
/// Returns the GPU with that key. Throws ConfigError, which lists the known keys, if there is none.
const GpuModel& gpu_model(std::string_view key);

}  // namespace elbo::bench
