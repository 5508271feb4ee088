// Checkpoints: safetensors files with a model and, for resuming, the state of its training.
//
// Tensors: every parameter under its name, optimizer.first_moment.<name> and
// optimizer.second_moment.<name>. Metadata: format, version, config (TOML), data_shape, data_dtype,
// classes, step, epoch, the state of early stopping, rollbacks, train_rows, the sums for the next
// reports, and the file's checksum.
#pragma once

#include <filesystem>
#include <optional>

#include "host/model/model.hpp"
#include "host/train/config.hpp"
#include "host/train/training_state.hpp"

namespace elbo {

/// Writes the model and its training state atomically. Equal states produce equal bytes.
void save_checkpoint(const std::filesystem::path& path, const Config& config, const Model& model,
                     const TrainingState& state);
/// Writes the current weights and moments of `model` in the same way.
void save_checkpoint(const std::filesystem::path& path, const Config& config, const Model& model,
                     const TrainingProgress& progress);

/// The settings and progress in a checkpoint, without its tensors.
struct CheckpointHeader {
  Config config;
  DataSignature data;
  TrainingProgress progress;
};
/// Throws DataError if the file is damaged or not a checkpoint of this format.
CheckpointHeader read_checkpoint_header(const std::filesystem::path& path);

/// Loads a model for inference. `samples` replaces the stored number of Monte Carlo samples;
/// `config` receives all settings of the model's training.
Model load_model(const std::filesystem::path& path, std::shared_ptr<Device> device,
                 std::optional<int64_t> samples = std::nullopt, Config* config = nullptr);

/// Returns the state from which to resume, for a model made for training. Throws DataError if the
/// file is damaged or was made for other data, or if a tensor is missing or has another shape.
TrainingState read_training_state(const std::filesystem::path& path, const Model& model);

}  // namespace elbo
