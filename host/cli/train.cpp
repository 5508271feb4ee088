#include "host/cli/training.hpp"
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
  command->add_option("DATASET", flags->dataset,
                      "directory of IDX files, .npy files or pictures, or one .npy file");
  command->add_option("--out", flags->out, "new run directory")->required()->type_name("RUN");
  command->add_option("--config", flags->config_file, "TOML file of settings; flags override it")
      ->type_name("FILE");
  flags->talk.add(*command);
  flags->settings.add(*command);
  command->footer("Example: elbo train mnist --out run --likelihood bernoulli --epochs 10");
  command->callback([flags] {
    Config config = flags->settings.resolve(flags->config_file);
    if (!flags->dataset.empty()) config.dataset = flags->dataset;
    if (config.dataset.empty())
      throw ConfigError("no data set given: elbo train DATASET --out RUN");
    config.check();
    RunDirectory::refuse_existing(flags->out);  // before the data set is read
    if (std::filesystem::exists(config.dataset))
      config.dataset = std::filesystem::canonical(config.dataset).string();
    if (!config.image_cache.empty())
      config.image_cache = std::filesystem::absolute(config.image_cache).string();
    std::shared_ptr<Device> device = make_device(config.device, static_cast<int>(config.threads));
    Dataset dataset = open_training_data(config, flags->out, flags->settings, flags->talk);
    Trainer trainer(config, std::move(dataset), std::move(device));
    RunDirectory run = RunDirectory::create(flags->out, trainer.config());
    train_into(trainer, run, flags->talk);
  });
}

}  // namespace elbo::cli
