// Opens data sets for commands.
#include "host/cli/commands.hpp"
#include "host/cli/progress.hpp"
#include "host/train/run_directory.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

namespace fs = std::filesystem;

fs::path cache_beside(const fs::path& run) {
  fs::path path = fs::absolute(run).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "run/"
  return path.parent_path() / "elbo-cache";
}

/// Returns the cache of decoded pictures of a run, or of the run of a checkpoint; empty for other
/// files.
fs::path cache_of_trained(const fs::path& path) {
  const fs::path run =
      fs::is_directory(path) ? path : fs::absolute(path).parent_path().parent_path();
  if (!fs::is_regular_file(run / "config.toml")) return {};
  const std::string cache = read_run_config(run).image_cache;
  return cache.empty() ? cache_beside(run) : fs::path(cache);
}

}  // namespace

Dataset open_dataset(const std::string& path, DatasetOptions options, bool quiet) {
  PackingDisplay display(quiet);
  options.images.observer = &display;
  return Dataset::open(path, options);
}

Dataset open_dataset(const Config& config, const fs::path& run, bool quiet) {
  DatasetOptions options = dataset_options(config);
  if (config.image_cache.empty()) options.images.cache = cache_beside(run);
  return open_dataset(config.dataset, options, quiet);
}

std::vector<std::string> idle_picture_settings(const Config& config, const Dataset& data,
                                               const std::set<std::string>& given) {
  Combination combination(config, config, given);
  config.DataSettings::check(combination, data);
  config.RunSettings::check(combination, data);
  return combination.notes();
}

void DataFlags::add(CLI::App& command) {
  add_value(command, "DATASET", "", dataset, NotEmpty{}, "data set, in a format that train reads")
      ->required();
  add_value(command, "--split", "NAME", split, NotEmpty{},
            "split: train, validation, test or all (default: test if present, otherwise all)");
  pictures.add(command, {"image-size", "image-channels", "skip-bad", "image-cache"});
  for (const char* key : {"--image-size", "--image-channels"})
    command.get_option(key)->default_str("as in training");
}

Dataset DataFlags::open(const ModelFlags& from, const Model& model, bool quiet) {
  Config config = from.config;
  config.threads = from.device.threads;
  config.image_cache = cache_of_trained(from.run).string();
  pictures.apply(config);
  config.check();
  Dataset data = open_dataset(dataset, dataset_options(config), quiet);
  pictures.print_notes(idle_picture_settings(config, data, pictures.keys()));
  if (data.sample_shape() != model.data.sample_shape)
    throw DataError(dataset + ": samples have shape " + to_string(data.sample_shape()) +
                    ", the model was trained on " + to_string(model.data.sample_shape));
  if (data.dtype() != model.data.dtype &&
      (data.dtype() == DType::u8) != (model.data.dtype == DType::u8))
    throw DataError(dataset + ": the model was trained on " +
                    (model.data.dtype == DType::u8 ? "8-bit" : "floating-point") +
                    " values, these are not");
  model.settings.check(data);
  if (split.empty()) split = data.has("test") ? "test" : "all";
  return data;
}

}  // namespace elbo::cli
