// The checkpoints of a run: the newest, those before it, and the best.
//
//   last.safetensors      the newest
//   step-120.safetensors  those before it, as many as are kept
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

  /// The files there are, newest first; the best, which may be older than the others, at the end.
  std::vector<std::filesystem::path> all() const;

  /// Writes the trainer's last good state as the newest. What was the newest stays under its step's
  /// name, until there are config.keep_checkpoints others. Whatever fails, and whenever, a whole
  /// one is left.
  void save_last(const Trainer& trainer);
  void save_best(const Trainer& trainer) const;

  /// Puts the trainer where the newest file that can be used has it; at no file, leaves it at the
  /// start. Gives the errors of files that could not be used; throws the first where all of them
  /// could not.
  std::vector<std::string> restore(Trainer& trainer);

 private:
  std::filesystem::path of_step(uint64_t step) const;
  void remove_old(uint64_t newest, int64_t kept) const;

  std::filesystem::path directory_;
  std::optional<uint64_t> last_step_;  // of a last() that is known to be whole
};

}  // namespace elbo
