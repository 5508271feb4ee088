// The parts of training that the commands train and resume share.
#pragma once

#include "host/cli/commands.hpp"
#include "host/train/run_directory.hpp"

namespace elbo::cli {

/// The amount of output.
struct Talk {
  bool quiet = false;
  bool verbose = false;
  void add(CLI::App& command);
  /// Throws ConfigError if both are set.
  void check() const;
};

/// Opens the data set of the settings, prints its size, and notes which of the given `settings`
/// have no effect on it. `start` is the recipe, or the settings of the run that is resumed.
Dataset open_training_data(const Config& config, const Config& start,
                           const std::filesystem::path& run, const SettingFlags& settings,
                           const Talk& talk);

/// Trains to the end, writes the summary and prints the results.
void train_into(Trainer& trainer, RunDirectory& run, const Talk& talk);

}  // namespace elbo::cli
