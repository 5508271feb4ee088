#include "host/model/model.hpp"

#include <cmath>

#include "kernels/core/error.hpp"

namespace elbo {
namespace {

bool wants_unit_interval(const Config& config) {
  bool wants = false;
  math::Likelihood{math::Likelihoods::find(config.likelihood)}.visit(
      [&](auto l) { wants = decltype(l)::range == math::DataRange::unit_interval; });
  return wants;
}

}  // namespace

DataView data_view(const Config& config, DType dtype) {
  std::string binarize = config.binarize;
  if (binarize == "auto") binarize = wants_unit_interval(config) ? "dynamic" : "none";
  if (binarize == "dynamic") return DataView::binarized;
  if (binarize == "fixed") return DataView::binarized_fixed;
  const bool dequantize =
      dtype == DType::u8 && config.dequantize == "uniform" && !wants_unit_interval(config);
  return dequantize ? DataView::dequantized : DataView::raw;
}

void require_range(const Config& config, const Dataset& dataset) {
  const DataView view = data_view(config, dataset.dtype());
  const bool binarized = view == DataView::binarized || view == DataView::binarized_fixed;
  if (dataset.dtype() == DType::u8 || (!wants_unit_interval(config) && !binarized)) return;
  const ValueRange range = dataset.range();
  if (range.minimum >= 0.0 && range.maximum <= 1.0) return;
  throw DataError(dataset.path().string() + ": values reach from " + std::to_string(range.minimum) +
                  " to " + std::to_string(range.maximum) + ", but likelihood " + config.likelihood +
                  " with binarize " + config.binarize +
                  " wants them in [0, 1]; scale the data, or use a Gaussian likelihood");
}

namespace {

/// Tensor sizes are 32-bit per row; a model this wide would not fit memory anyway.
const DataSignature& require_size(const DataSignature& data) {
  constexpr int64_t kLargestDim = int64_t{1} << 28;
  if (data.dim() < 1 || data.dim() > kLargestDim)
    throw DataError("samples of shape " + to_string(data.sample_shape) + " have " +
                    std::to_string(data.dim()) + " elements; between 1 and " +
                    std::to_string(kLargestDim) + " can be modelled");
  return data;
}

}  // namespace

Model::Model(Config config_in, DataSignature data_in, std::shared_ptr<Device> device_in,
             Purpose purpose)
    : config(std::move(config_in)),
      data(std::move(data_in)),
      vae((validate(config), config), require_size(data).dim()),
      device(std::move(device_in)),
      arena(purpose == Purpose::training ? Arena::for_training(device, vae.layout(), precision())
                                         : Arena::for_inference(device, vae.layout())) {}

Precision precision_on(const Config& config, DeviceKind device) {
  const bool cuda = device == DeviceKind::cuda;
  if (config.precision == "auto") return cuda ? Precision::tf32 : Precision::fp32;
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    if (config.precision != name_of(precision)) continue;
    if (!cuda && precision != Precision::fp32)
      throw ConfigError("precision: got '" + config.precision +
                        "', which needs --device cuda; the CPU computes in fp32");
    return precision;
  }
  throw ConfigError("precision: got '" + config.precision + "'");
}

Precision Model::precision() const { return precision_on(config, device->kind()); }

DataView Model::view() const { return data_view(config, data.dtype); }

double Model::bits_per_dim_offset() const {
  if (data.dtype != DType::u8) return 0.0;
  switch (view()) {
    case DataView::dequantized:
      return 8.0;
    case DataView::raw:
      return wants_unit_interval(config) ? 0.0 : std::log2(255.0);
    default:
      return 0.0;
  }
}

}  // namespace elbo
