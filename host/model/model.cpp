#include "host/model/model.hpp"

#include <algorithm>
#include <cmath>

#include "host/data/sample_pictures.hpp"
#include "host/io/formatted.hpp"
#include "kernels/core/error.hpp"

namespace elbo {

DataSignature signature_of(const ModelSettings& settings, const Dataset& dataset) {
  DataSignature signature{dataset.sample_shape(), dataset.dtype(), 0};
  if (!settings.classifies()) return signature;
  const std::vector<int32_t>& labels = dataset.split("train").labels;
  if (labels.empty())
    throw DataError(dataset.path().string() + ": there are no labels, which " +
                    said(settings, settings.classifier) +
                    " needs; add them as train-labels-idx1-ubyte or train_labels.npy, or use "
                    "classifier none");
  const auto [least, most] = std::ranges::minmax_element(labels);
  constexpr int32_t kMostClasses = 1 << 16;
  if (*least < 0 || *most >= kMostClasses)
    throw DataError(
        formatted("{}: labels reach from {} to {}; expected classes from 0 to at most {}",
                  dataset.path().string(), *least, *most, kMostClasses - 1));
  signature.classes = *most + 1;
  return signature;
}

namespace {

const DataSignature& require_size(const DataSignature& data) {
  constexpr int64_t kLargestDim = DataSignature::kLargestDim;
  if (data.dim() < 1 || data.dim() > kLargestDim)
    throw DataError(
        formatted("samples of shape {} have {} elements; between 1 and {} can be modelled",
                  to_string(data.sample_shape), data.dim(), kLargestDim));
  return data;
}

}  // namespace

Model::Model(ModelSettings settings_in, DataSignature data_in, std::shared_ptr<Device> device_in,
             Purpose purpose)
    : settings(std::move(settings_in)),
      data(std::move(data_in)),
      architecture((settings.check(), settings), require_size(data)),
      device(std::move(device_in)),
      arena(purpose == Purpose::training
                ? Arena::for_training(device, architecture.layout(), precision())
                : Arena::for_inference(device, architecture.layout())) {}

Precision Model::precision() const { return settings.precision_on(device->kind()); }

void Model::require(Part part) const {
  if (architecture.has(part)) return;
  throw ConfigError("this model has no " + std::string(kPartNames[static_cast<size_t>(part)]));
}

DataView Model::view() const { return settings.view(settings, data.dtype); }

Value Model::view_batch(GatherBatch& gather, Recorder& recorder, const Value& x,
                        Inputs inputs) const {
  gather.view = view();
  gather.x = x.f32();
  if (inputs == Inputs::augmented) {
    gather.picture = picture_layout(data.sample_shape);
    gather.augmentation = {settings.flip == Flip::horizontal, static_cast<int32_t>(settings.shift)};
  }
  const bool corrupts = inputs != Inputs::clean && settings.corrupts();
  if (!corrupts && recorder.factor_format() == Format::f32) return x;
  if (corrupts) {
    gather.corruption = settings.corruption;
    gather.corruption_level = static_cast<float>(settings.corruption_level);
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
      return settings.range() == math::DataRange::real ? std::log2(255.0) : 0.0;
    default:
      return 0.0;
  }
}

bool Model::takes_grey_targets() const {
  return settings.range() == math::DataRange::unit_interval && view() == DataView::raw;
}

}  // namespace elbo
