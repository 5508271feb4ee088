// A model on a device: the network, its weights, and what it needs to know of its data.
#pragma once

#include <memory>
#include <vector>

#include "host/io/shape.hpp"
#include "host/model/vae.hpp"
#include "kernels/batch.hpp"

namespace elbo {

/// What the model was made for.
struct DataSignature {
  Shape sample_shape;
  DType dtype = DType::f32;

  int64_t dim() const { return element_count(sample_shape); }
  bool operator==(const DataSignature&) const = default;
};

struct Model {
  Config config;
  DataSignature data;
  Vae vae;
  std::shared_ptr<Device> device;
  Arena arena;

  enum class Purpose { inference, training };
  /// Weights are zero until set. Throws ConfigError where settings conflict with each other or
  /// with the data's type.
  Model(Config config, DataSignature data, std::shared_ptr<Device> device, Purpose purpose);

  /// How the model sees stored values.
  DataView view() const;
  /// What to add to -elbo / (dim * log 2) so that bits per dimension refer to the values as they
  /// are stored: 8 for dequantised 8-bit data, log2 255 for v / 255, else 0.
  double bits_per_dim_offset() const;

  /// What training computes in: the settings' precision, or what suits the device.
  Precision precision() const;

  void set_weights(std::span<const float> weights) { arena.set_weights(weights); }
};

/// The view of stored values that the settings ask for. Throws ConfigError where they conflict.
DataView data_view(const Config& config, DType dtype);

/// The precision that the settings ask for on a kind of device. Throws ConfigError where it has not
/// got it.
Precision precision_on(const Config& config, DeviceKind device);

/// Throws DataError where the likelihood does not accept values in [minimum, maximum].
void require_range(const Config& config, const Dataset& dataset);

}  // namespace elbo
