#include "host/cli/training.hpp"
#include "host/io/file_error.hpp"
#include "host/train/recipe.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {

void add_train(CLI::App& app) {
  struct Flags {
    std::string dataset, out, config_file;
    Talk talk;
    SettingFlags settings;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("train", "Train a model on a data set");
  add_value(*command, "DATASET", "", flags->dataset, NotEmpty{},
            "directory of IDX files, .npy files or pictures, or one .npy file");
  add_value(*command, "--out", "RUN", flags->out, NotEmpty{}, "new run directory")->required();
  add_value(*command, "--config", "FILE", flags->config_file, NotEmpty{},
            "TOML file of settings; flags override it");
  flags->talk.add(*command);
  flags->settings.add(*command);
  command->footer("Example: elbo train mnist --out run --likelihood bernoulli --epochs 10");
  command->callback([flags] {
    flags->talk.check();
    Config config = flags->settings.resolve(flags->config_file);
    if (!flags->dataset.empty()) {
      if (const auto given = flags->settings.given(); given.contains("dataset"))
        throw ConfigError("DATASET " + in_quotes(flags->dataset) +
                          " cannot be combined with "
                          "--dataset: give the data set once");
      config.dataset = flags->dataset;
    }
    if (config.dataset.empty())
      throw ConfigError("no data set given: elbo train DATASET --out RUN");
    config.check();
    RunDirectory::refuse_existing(flags->out);  // before the data set is read
    if (std::filesystem::exists(config.dataset))
      config.dataset = std::filesystem::canonical(config.dataset).string();
    if (!config.image_cache.empty())
      config.image_cache = std::filesystem::absolute(config.image_cache).string();
    std::shared_ptr<Device> device = make_device(config.device, static_cast<int>(config.threads));
    Dataset dataset = open_training_data(config, config_for_recipe(config.recipe), flags->out,
                                         flags->settings, flags->talk);
    Trainer trainer(config, std::move(dataset), std::move(device));
    RunDirectory run = RunDirectory::create(flags->out, trainer.config());
    train_into(trainer, run, flags->talk);
  });
}

}  // namespace elbo::cli
