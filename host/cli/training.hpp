// Trainings as the commands train and resume run them.
#pragma once

#include "host/cli/commands.hpp"
#include "host/train/run_directory.hpp"

namespace elbo::cli {

/// How much is printed.
struct Talk {
  bool quiet = false;
  bool verbose = false;
  void add(CLI::App& command);
  /// Throws ConfigError if both are asked for.
  void check() const;
};

/// Opens the settings' data set, prints its size, and notes those of `settings` that have no effect
/// on it. `start` is the recipe, or the settings of the run that is resumed.
Dataset open_training_data(const Config& config, const Config& start,
                           const std::filesystem::path& run, const SettingFlags& settings,
                           const Talk& talk);

/// Trains to the end, writes the summary and prints the results.
void train_into(Trainer& trainer, RunDirectory& run, const Talk& talk);

}  // namespace elbo::cli
