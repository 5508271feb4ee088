// A model on a device: its networks, their weights, and the description of its data.
#pragma once

#include <memory>
#include <vector>

#include "host/model/architecture.hpp"
#include "kernels/batch.hpp"

namespace elbo {

struct Model {
  ModelSettings settings;
  DataSignature data;
  Architecture architecture;
  std::shared_ptr<Device> device;
  Arena arena;

  enum class Purpose { inference, training };
  /// Weights are zero until set. Throws ConfigError if settings contradict each other, and
  /// DataError if the sample size is out of range.
  Model(ModelSettings settings, DataSignature data, std::shared_ptr<Device> device,
        Purpose purpose);

  /// Returns the conversion from stored values to the model's x.
  DataView view() const;
  /// Returns the offset to add to -elbo / (dim * log 2) so that bits per dimension refer to the
  /// stored values: 8 for dequantised 8-bit data, log2 255 for v / 255 under a density, else 0.
  double bits_per_dim_offset() const;
  /// True if a Bernoulli likelihood is given non-binary targets; the loss is then a cross-entropy.
  bool takes_grey_targets() const;

  /// Returns the precision of training: the precision from the settings, or the device's default.
  Precision precision() const;

  /// The encoder's input: augmented and corrupted as in training, only corrupted, or unchanged.
  enum class Inputs { augmented, corrupted, clean };
  /// Makes `gather` write the model's x of a batch to x [batch, dim], augmented or not. Returns the
  /// encoder's input.
  Value view_batch(GatherBatch& gather, Recorder& recorder, const Value& x, Inputs inputs) const;

  /// Throws ConfigError if the model lacks this part.
  void require(Part part) const;

  void set_weights(std::span<const float> weights) { arena.set_weights(weights); }
};

/// Returns the description of a data set for a model with these settings. Throws DataError if a
/// classifier has no labels, or labels that are not valid class indices.
DataSignature signature_of(const ModelSettings& settings, const Dataset& dataset);

}  // namespace elbo
