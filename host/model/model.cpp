#include "host/model/model.hpp"

#include <algorithm>
#include <cmath>

#include "host/data/sample_pictures.hpp"
#include "host/model/choices.hpp"
#include "host/model/fitting_parts.hpp"
#include "kernels/core/error.hpp"

namespace elbo {
DatasetOptions dataset_options(const Config& config) {
  return {.validation_fraction = config.validation_fraction,
          .validation_last = config.validation_split == "last",
          .seed = static_cast<uint64_t>(config.seed),
          .images = {.size = config.image_size,
                     .channels = static_cast<ImageChannels>(
                         index_in(kImageChannelNames, config.image_channels)),
                     .skip_bad = config.skip_bad,
                     .cache = config.cache,
                     .threads = static_cast<int>(config.threads)}};
}

DataView data_view(const Config& config, DType dtype) {
  std::string binarize = config.binarize;
  const math::DataRange range = likelihood_range(config);
  if (binarize == "auto") binarize = range == math::DataRange::unit_interval ? "dynamic" : "none";
  if (binarize == "dynamic") return DataView::binarized;
  if (binarize == "fixed") return DataView::binarized_fixed;
  const bool dequantize = dtype == DType::u8 && config.dequantize == "uniform" &&
                          config.likelihood != "none" && range == math::DataRange::real;
  return dequantize ? DataView::dequantized : DataView::raw;
}

DataSignature signature_of(const Config& config, const Dataset& dataset) {
  DataSignature signature{dataset.sample_shape(), dataset.dtype(), 0};
  if (config.classifier == "none") return signature;
  const std::vector<int32_t>& labels = dataset.split("train").labels;
  if (labels.empty())
    throw DataError(dataset.path().string() + ": there are no labels, which classifier " +
                    config.classifier +
                    " needs; add them as train-labels-idx1-ubyte or train_labels.npy, or use "
                    "classifier none");
  const auto [least, most] = std::ranges::minmax_element(labels);
  constexpr int32_t kMostClasses = 1 << 16;
  if (*least < 0 || *most >= kMostClasses)
    throw DataError(dataset.path().string() + ": labels reach from " + std::to_string(*least) +
                    " to " + std::to_string(*most) + "; wanted classes from 0 to at most " +
                    std::to_string(kMostClasses - 1));
  signature.classes = *most + 1;
  return signature;
}

namespace {

const DataSignature& require_size(const DataSignature& data) {
  constexpr int64_t kLargestDim = DataSignature::kLargestDim;
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
      architecture((validate(config), config), require_size(data)),
      device(std::move(device_in)),
      arena(purpose == Purpose::training
                ? Arena::for_training(device, architecture.layout(), precision())
                : Arena::for_inference(device, architecture.layout())) {}

Precision precision_on(const Config& config, DeviceKind device) {
  const bool cuda = device == DeviceKind::cuda;
  if (config.precision == "auto") return cuda ? Precision::tf32 : Precision::fp32;
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    if (config.precision != name_of(precision)) continue;
    if (!cuda && precision == Precision::tf32)
      throw ConfigError(
          "precision: got 'tf32', which needs --device cuda; the CPU has fp32 and bf16");
    return precision;
  }
  throw ConfigError("precision: got '" + config.precision + "'");
}

Precision Model::precision() const { return precision_on(config, device->kind()); }

void Model::require(Part part) const {
  if (architecture.has(part)) return;
  throw ConfigError("recipe " + config.recipe + ": this model has no " +
                    std::string(kPartNames[static_cast<size_t>(part)]));
}

DataView Model::view() const { return data_view(config, data.dtype); }

Value Model::view_batch(GatherBatch& gather, Recorder& recorder, const Value& x,
                        Inputs inputs) const {
  gather.view = view();
  gather.x = x.f32();
  if (inputs == Inputs::augmented) {
    gather.picture = picture_layout(data.sample_shape);
    gather.augmentation = {config.flip == "horizontal", static_cast<int32_t>(config.crop)};
  }
  const bool corrupts = inputs != Inputs::clean && config.corruption != "none";
  if (!corrupts && recorder.factor_format() == Format::f32) return x;
  if (corrupts) {
    gather.corruption = {math::Corruptions::find(config.corruption)};
    gather.corruption_level = static_cast<float>(config.corruption_level);
  }
  const Value input = recorder.tensor(x.rows, x.columns, recorder.factor_format());
  gather.input = input.data;
  return input;
}

double Model::bits_per_dim_offset() const {
  if (data.dtype != DType::u8) return 0.0;
  switch (view()) {
    case DataView::dequantized:
      return 8.0;
    case DataView::raw:
      return likelihood_range(config) == math::DataRange::real ? std::log2(255.0) : 0.0;
    default:
      return 0.0;
  }
}

bool Model::takes_grey_targets() const {
  return likelihood_range(config) == math::DataRange::unit_interval && view() == DataView::raw;
}

}  // namespace elbo
