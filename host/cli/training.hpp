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
};

/// Opens the settings' data set, says what it contains, and which settings have no effect on it.
Dataset open_training_data(const Config& config, const std::filesystem::path& run,
                           const SettingFlags& settings, const Talk& talk);

/// Trains to the end, writes the summary and prints the results.
void train_into(Trainer& trainer, RunDirectory& run, const Talk& talk);

}  // namespace elbo::cli
