// The commands of the elbo program. Each adds itself to the command line and runs when selected.
// Only this folder prints; errors reach main() as exceptions.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <string>

#include "host/cli/options.hpp"
#include "host/cli/setting_flags.hpp"
#include "host/train/config.hpp"
#include "host/train/evaluator.hpp"

namespace elbo::cli {

void add_train(CLI::App& app);
void add_resume(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_analyze(CLI::App& app);
void add_sample(CLI::App& app);
void add_reconstruct(CLI::App& app);
void add_encode(CLI::App& app);
void add_classify(CLI::App& app);
void add_decode(CLI::App& app);
void add_inspect(CLI::App& app);
void add_list(CLI::App& app);
void add_bench(CLI::App& app);
void add_generate(CLI::App& app);

/// --device and --threads of the commands that use a trained model.
struct DeviceFlags {
  std::string device = "auto";
  int64_t threads = 0;
  void add(CLI::App& command);
  std::shared_ptr<Device> make() const;
};

enum class CheckpointName { best, last };
constexpr auto names_of(CheckpointName) { return std::array<std::string_view, 2>{"best", "last"}; }

/// RUN, --checkpoint and the device: a trained model from the command line.
struct ModelFlags {
  std::string run;
  CheckpointName checkpoint = CheckpointName::best;
  DeviceFlags device;
  /// Settings of the model's training; set by load().
  Config config = {};
  void add(CLI::App& command);
  Model load(std::optional<int64_t> samples = std::nullopt);
};

/// Opens a data set. Unless `quiet`, shows the progress of decoding pictures and reports pictures
/// that were left out.
Dataset open_dataset(const std::string& path, DatasetOptions options, bool quiet);

/// Opens the data set of the settings. If they name no image cache, it is elbo-cache beside the
/// run.
Dataset open_dataset(const Config& config, const std::filesystem::path& run, bool quiet);

/// Returns one line for each given picture setting that has no effect on a data set. Throws
/// ConfigError for a size or channels that the data set does not support.
std::vector<std::string> idle_picture_settings(const Config& config, const Dataset& data,
                                               const std::set<std::string>& given);

/// DATASET and --split: a data set opened with the settings of the model's training.
struct DataFlags {
  std::string dataset;
  std::string split;
  SettingFlags pictures;
  void add(CLI::App& command);
  /// Opens the data set for a model that `from` loaded. Throws DataError if the shape of its
  /// samples, or their type (8-bit or floating-point), differs from the model's. An empty --split
  /// becomes test if the data set has one, else all.
  Dataset open(const ModelFlags& from, const Model& model, bool quiet = false);
};

}  // namespace elbo::cli
