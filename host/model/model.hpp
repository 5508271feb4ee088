// A model on a device: its networks, their weights, and what it needs to know of its data.
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
  /// Weights are zero until set. Throws ConfigError if settings conflict with each other or
  /// with the data's type.
  Model(ModelSettings settings, DataSignature data, std::shared_ptr<Device> device,
        Purpose purpose);

  /// How the model sees stored values.
  DataView view() const;
  /// What to add to -elbo / (dim * log 2) so that bits per dimension refer to the values as they
  /// are stored: 8 for dequantised 8-bit data, log2 255 for v / 255 under a density, else 0.
  double bits_per_dim_offset() const;
  /// True if a Bernoulli likelihood is given non-binary targets; the loss is then a cross-entropy.
  bool takes_grey_targets() const;

  /// What training computes in: the settings' precision, or what suits the device.
  Precision precision() const;

  /// What the encoder reads: inputs as training augments and corrupts them, corrupted only, or as
  /// they are.
  enum class Inputs { augmented, corrupted, clean };
  /// Has `gather` write what the model sees of a batch to x [batch, dim], augmented or not; gives
  /// what its encoder reads.
  Value view_batch(GatherBatch& gather, Recorder& recorder, const Value& x, Inputs inputs) const;

  /// Throws ConfigError if the model has no such part.
  void require(Part part) const;

  void set_weights(std::span<const float> weights) { arena.set_weights(weights); }
};

/// What a model with these settings needs to know of the data set it is trained on. Throws
/// DataError if there is a classifier and no labels, or labels that are no classes.
DataSignature signature_of(const ModelSettings& settings, const Dataset& dataset);

}  // namespace elbo
