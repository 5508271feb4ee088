// GPUs for which `elbo_bench plan` predicts: what each can do at most, and how that is known.
#pragma once

#include <span>
#include <string_view>

#include "kernels/core/precision.hpp"

namespace elbo::bench {

/// measured: by this project or in a published measurement of that GPU; datasheet: NVIDIA's,
/// without sparsity; lead: reasoned, to be measured before anyone quotes it.
enum class Source { measured, datasheet, lead };
const char* name_of(Source source);

struct Rate {
  double value = 0.0;
  Source source = Source::lead;
};

struct GpuModel {
  std::string_view key;   // h200
  std::string_view name;  // H200 SXM
  Rate copy;              // TB/s, read and written
  Rate l2;                // MB
  Rate fp32, tf32, bf16;  // TFLOP/s of large products
  Rate edge;              // us from the end of a kernel to the start of the next in a graph

  const Rate& product(Precision precision) const;
};

std::span<const GpuModel> gpu_models();
/// Throws ConfigError naming the GPUs there are.
const GpuModel& gpu_model(std::string_view key);

}  // namespace elbo::bench
