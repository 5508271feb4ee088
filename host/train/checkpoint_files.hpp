// The checkpoints of a run: the newest, earlier ones, and the best.
//
//   last.safetensors      the newest
//   step-120.safetensors  earlier checkpoints, up to keep-checkpoints including the newest
//   best.safetensors
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "host/train/trainer.hpp"

namespace elbo {

class CheckpointFiles {
 public:
  explicit CheckpointFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path last() const { return directory_ / "last.safetensors"; }
  std::filesystem::path best() const { return directory_ / "best.safetensors"; }

  /// Returns the existing files, newest first; the best, which may be older, comes last.
  std::vector<std::filesystem::path> all() const;

  /// Writes the trainer's last good state as the newest checkpoint. The previous newest file is
  /// kept under its step's name until config.keep_checkpoints newer ones exist. A complete
  /// checkpoint exists at every moment, even if writing fails.
  void save_last(const Trainer& trainer);
  void save_best(const Trainer& trainer) const;

  /// Restores the trainer from the newest usable file; without any file, the trainer remains at the
  /// start. Returns the errors of newer files that could not be used. Throws the first error if no
  /// file could be used.
  std::vector<std::string> restore(Trainer& trainer);

 private:
  std::filesystem::path of_step(uint64_t step) const;
  void remove_old(uint64_t newest, int64_t kept) const;

  std::filesystem::path directory_;
  std::optional<uint64_t> last_step_;  // step of last(), if that file is known to be complete
};

}  // namespace elbo
