#include "bench/gpu_models.hpp"

#include <string>

#include "kernels/core/error.hpp"

namespace elbo::bench {

const char* name_of(Source source) {
  switch (source) {
    case Source::measured:
      return "measured";
    case Source::datasheet:
      return "datasheet";
    case Source::lead:
      return "lead";
  }
  return "?";
}

std::span<const GpuModel> gpu_models() {
  using enum Source;
  static constexpr GpuModel models[] = {
      {.key = "h200",
       .name = "H200 SXM",
       .copy = {4.3, measured},
       .l2 = {50, datasheet},
       .fp32 = {55, lead},
       .tf32 = {395, lead},
       .bf16 = {790, measured},
       .edge = {1.0, lead}},
      {.key = "h100",
       .name = "H100 SXM",
       .copy = {3.35, datasheet},
       .l2 = {50, datasheet},
       .fp32 = {67, datasheet},
       .tf32 = {494, datasheet},
       .bf16 = {989, datasheet},
       .edge = {1.0, lead}},
      {.key = "a100",
       .name = "A100 SXM 80 GB",
       .copy = {2.04, datasheet},
       .l2 = {40, datasheet},
       .fp32 = {19.5, datasheet},
       .tf32 = {156, datasheet},
       .bf16 = {312, datasheet},
       .edge = {1.0, lead}},
  };
  return models;
}

const Rate& GpuModel::product(Precision precision) const {
  switch (precision) {
    case Precision::tf32:
      return tf32;
    case Precision::bf16:
      return bf16;
    case Precision::fp32:
      break;
  }
  return fp32;
}

const GpuModel& gpu_model(std::string_view key) {
  std::string keys;
  for (const GpuModel& model : gpu_models()) {
    if (model.key == key) return model;
    keys += (keys.empty() ? "" : ", ") + std::string(model.key);
  }
  throw ConfigError("gpu: got '" + std::string(key) + "', expected one of " + keys);
}

}  // namespace elbo::bench
