// What a training leaves behind, as it goes:
//
//   config.toml                    every setting, resolved
//   metrics.jsonl                  a line per metrics_interval and report, training and validation
//   checkpoints/last.safetensors   after every report (report_epochs epochs, and the end), every
//                                  checkpoint_minutes between them, and if it was stopped
//   checkpoints/step-120.safetensors  what was the last before, as many as settings keep
//   checkpoints/best.safetensors   the best validation score (the last where there is none)
//   samples/epoch-0001.png         E[x|z] for z drawn from the prior, the same draws every time,
//                                  where the model has a prior
//   reconstructions/epoch-0001.png rows of inputs, below each (corrupted inputs and) their
//                                  reconstructions, where the model has a decoder
//   interpolations/epoch-0001.png  rows from one input to another: x, E[x|z] in ten steps between
//                                  their codes, x', where the model has a decoder
//   summary.json                   the end result
//   plan.txt                       what a GPU chose for the training step, and how fast that was
//   divergence-130.json            what was not finite after which step, and if that came from
//   lock                           held by the process that trains
#pragma once

#include <filesystem>
#include <memory>

#include "host/io/file_lock.hpp"
#include "host/io/log_file.hpp"
#include "host/train/checkpoint_files.hpp"

namespace elbo {

class RunDirectory : public TrainingObserver {
 public:
  /// Throws ConfigError if a run directory cannot be made because something is there.
  static void refuse_existing(const std::filesystem::path& path);
  /// Makes a new run directory, whole or not at all. Throws ConfigError if the path exists
  /// already.
  static RunDirectory create(const std::filesystem::path& path, const Config& config);
  /// An existing one, to go on with. Throws DataError if it is none or another process trains
  /// there.
  static RunDirectory reopen(const std::filesystem::path& path);

  /// Puts the trainer where the run's newest usable checkpoint has it, or at the start where there
  /// is none yet; drops later metrics and what a killed process left behind, and writes down the
  /// settings to go on with. Gives an error for each newer checkpoint that is of no use; throws
  /// DataError if all of them are.
  std::vector<std::string> restore(Trainer& trainer);

  void on_metrics(const TrainingMetrics& metrics) override;
  void on_report(const TrainingReport& report, const Trainer& trainer) override;
  void on_checkpoint(const Trainer& trainer) override;
  void on_divergence(const Divergence& divergence) override;

  /// Writes summary.json; `test` is there where the data has a test split.
  void write_summary(const Trainer& trainer, const std::optional<Evaluation>& test);

  /// What to tell somebody whose training broke off: where the last checkpoint is.
  std::string how_to_resume() const;

  const std::filesystem::path& path() const { return path_; }
  /// The newest pictures; empty before the first.
  const std::filesystem::path& samples_picture() const { return samples_; }
  const std::filesystem::path& reconstructions_picture() const { return reconstructions_; }
  const std::filesystem::path& interpolations_picture() const { return interpolations_; }
  /// What is known of the last divergence; empty if there was none.
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

/// The settings of a run directory. Throws DataError if it is none.
Config read_run_config(const std::filesystem::path& run);

/// The checkpoint that `path` means: itself where it is a file, else the run directory's `which`
/// ("best", or "last", the newest there is). Throws DataError naming what is missing.
std::filesystem::path find_checkpoint(const std::filesystem::path& path, std::string_view which);

/// Rows of inputs, each above the row of its reconstructions, as one picture; between them the row
/// of what the encoder read, where that was corrupted.
void write_reconstructions(const std::filesystem::path& path,
                           const Evaluator::Reconstructions& pairs, const Shape& sample_shape);

/// Pictures between the first 8 pairs of `rows` [n, dim], at least 2, with these codes [n, latent]:
/// x at the left of each row, then 10 steps, then x'.
void write_interpolations(const std::filesystem::path& path, const Model& model,
                          std::span<const float> rows, std::span<const float> codes);

/// {"elbo": …, "reconstruction": …, …} with the names and units of Evaluation.
std::string to_json(const Evaluation& evaluation);

}  // namespace elbo
