// The files that a training writes:
//
//   config.toml                    every setting, resolved
//   metrics.jsonl                  a line per metrics_interval and report, training and validation
//   checkpoints/last.safetensors   after every report (report_epochs epochs, and the end), every
//                                  checkpoint_minutes between them, and when it is stopped
//   checkpoints/step-120.safetensors  earlier checkpoints, limited by keep_checkpoints
//   checkpoints/best.safetensors   the best validation score (the last state without validation)
//   samples/epoch-0001.png         E[x|z] for z drawn from the prior, the same draws every time,
//                                  if the model has a prior
//   reconstructions/epoch-0001.png rows of inputs, below each (corrupted inputs and) their
//                                  reconstructions, if the model has a decoder
//   interpolations/epoch-0001.png  rows from one input to another: x, E[x|z] in ten steps between
//                                  their codes, x', if the model has a decoder
//   summary.json                   the final results
//   plan.txt                       the choices made for the GPU, and their measured speed
//   divergence-130.json            which values were not finite after which step, and their origin
//   lock                           held by the training process
#pragma once

#include <filesystem>
#include <memory>

#include "host/io/file_lock.hpp"
#include "host/io/log_file.hpp"
#include "host/train/checkpoint_files.hpp"

namespace elbo {

class RunDirectory : public TrainingObserver {
 public:
  /// Throws ConfigError if a run directory cannot be created because the path exists.
  static void refuse_existing(const std::filesystem::path& path);
  /// Creates a new run directory atomically. Throws ConfigError if the path exists.
  static RunDirectory create(const std::filesystem::path& path, const Config& config);
  /// Opens an existing run directory, to resume. Throws DataError if it is not a run directory or
  /// another process trains in it.
  static RunDirectory reopen(const std::filesystem::path& path);

  /// Restores the trainer from the run's newest usable checkpoint; without any checkpoint the
  /// trainer remains at the start. Drops later metrics and the temporary files of a killed process,
  /// and writes the settings used from now on. Returns an error for each newer checkpoint that is
  /// unusable; throws DataError if all are.
  std::vector<std::string> restore(Trainer& trainer);

  void on_metrics(const TrainingMetrics& metrics) override;
  void on_report(const TrainingReport& report, const Trainer& trainer) override;
  void on_checkpoint(const Trainer& trainer) override;
  void on_divergence(const Divergence& divergence) override;

  /// Writes summary.json; `test` is set if the data have a test split.
  void write_summary(const Trainer& trainer, const std::optional<Evaluation>& test);

  /// Returns a hint for a training that was aborted: where the last checkpoint is.
  std::string how_to_resume() const;

  const std::filesystem::path& path() const { return path_; }
  /// Paths of the newest pictures; empty before the first.
  const std::filesystem::path& samples_picture() const { return samples_; }
  const std::filesystem::path& reconstructions_picture() const { return reconstructions_; }
  const std::filesystem::path& interpolations_picture() const { return interpolations_; }
  /// Path of the last divergence report; empty if there was no divergence.
  const std::filesystem::path& divergence_file() const { return divergence_; }

 private:
  explicit RunDirectory(std::filesystem::path path)
      : path_(std::move(path)), checkpoints_(path_ / "checkpoints") {}
  void drop_metrics_after(uint64_t step);
  void draw(const Trainer& trainer);

  std::filesystem::path path_;
  FileLock lock_;
  LogFile metrics_;
  CheckpointFiles checkpoints_;
  TrainingMetrics last_;
  std::filesystem::path samples_, reconstructions_, interpolations_, divergence_;
  std::shared_ptr<Evaluator> pictured_;
};

/// Reads the settings of a run directory. Throws DataError if it is not a run directory.
Config read_run_config(const std::filesystem::path& run);

/// Returns the checkpoint denoted by `path`: `path` itself if it is a file, else the checkpoint
/// `which` of the run directory ("best", or "last", the newest existing). Throws DataError that
/// names the missing file.
std::filesystem::path find_checkpoint(const std::filesystem::path& path, std::string_view which);

/// Writes rows of inputs, each above the row of its reconstructions, as one picture. If the encoder
/// read corrupted inputs, they form a row in between.
void write_reconstructions(const std::filesystem::path& path,
                           const Evaluator::Reconstructions& pairs, const Shape& sample_shape);

/// Writes interpolations between the first 8 pairs of `rows` [n, dim], n at least 2, with codes [n,
/// latent]: each row shows x at the left, then 10 steps, then x'.
void write_interpolations(const std::filesystem::path& path, const Model& model,
                          std::span<const float> rows, std::span<const float> codes);

/// Returns {"elbo": …, "reconstruction": …, …} with the names and units of Evaluation.
std::string to_json(const Evaluation& evaluation);

}  // namespace elbo
