#include "host/model/computation.hpp"

namespace elbo {

ChosenPrecision precision_named(std::string_view name) {
  ChosenPrecision precision{};
  read_text("precision", name, precision);
  return precision;
}

Precision ComputationSettings::precision_on(DeviceKind device) const {
  const bool cuda = device == DeviceKind::cuda;
  switch (precision) {
    case ChosenPrecision::automatic:
      return cuda ? Precision::tf32 : Precision::fp32;
    case ChosenPrecision::fp32:
      return Precision::fp32;
    case ChosenPrecision::bf16:
      return Precision::bf16;
    case ChosenPrecision::tf32:
      break;
  }
  if (cuda) return Precision::tf32;
  throw ConfigError("precision: got 'tf32', which needs --device cuda; the CPU has fp32 and bf16");
}

}  // namespace elbo
