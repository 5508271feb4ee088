// Checkpoints: safetensors files that hold a model and, for resuming, the state of its training.
//
// Tensors: every parameter under its name, optimizer.first_moment.<name> and
// optimizer.second_moment.<name>. Metadata: format, version, config (TOML), data_shape,
// data_dtype, classes, step, epoch, and the early-stopping memory.
#pragma once

#include <filesystem>
#include <limits>
#include <optional>

#include "host/model/model.hpp"

namespace elbo {

/// How far a training is.
struct TrainingProgress {
  uint64_t step = 0;
  uint64_t epoch = 0;                                            // completed
  double best_score = -std::numeric_limits<double>::infinity();  // of validation
  uint64_t best_epoch = 0;
  bool operator==(const TrainingProgress&) const = default;
};

/// Writes model and training state, atomically. Equal states give equal bytes.
void save_checkpoint(const std::filesystem::path& path, const Model& model,
                     const TrainingProgress& progress);

/// The settings and progress in a checkpoint, without its tensors.
struct CheckpointHeader {
  Config config;
  DataSignature data;
  TrainingProgress progress;
};
/// Throws DataError where the file is not a checkpoint of this format.
CheckpointHeader read_checkpoint_header(const std::filesystem::path& path);

/// A model ready for evaluation; `samples` replaces the stored number of Monte Carlo samples.
Model load_model(const std::filesystem::path& path, std::shared_ptr<Device> device,
                 std::optional<int64_t> samples = std::nullopt);

/// Loads weights and moments into a model made for training. Throws DataError where tensors are
/// missing or of another shape.
TrainingProgress restore_training(const std::filesystem::path& path, Model& model);

}  // namespace elbo
