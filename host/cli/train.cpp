// elbo train and elbo resume.
#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/cli/progress.hpp"
#include "host/data/statistics.hpp"
#include "host/model/recipe.hpp"
#include "host/train/run_directory.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

/// Settings given as flags, as text, in the order of the list.
class SettingFlags {
 public:
  void add(CLI::App& command) {
    for_each_setting(defaults_, [&](const char* key, auto& value, const char* help) {
      command.add_option("--" + std::string(key), given_[key], help)
          ->type_name(type_of(value))
          ->default_str(text_of(value))
          ->group(group_of(key));
    });
  }
  bool has(const CLI::App& command, const std::string& key) const {
    return command.count("--" + key) > 0;
  }
  /// Recipe, config file and flags, each over the one before.
  Config resolve(const CLI::App& command, const std::string& config_file) const {
    Config config = config_for_recipe("vae");
    if (!config_file.empty()) apply_toml_file(config, config_file);
    if (has(command, "recipe") && given_.at("recipe") != config.recipe) {
      config = config_for_recipe(given_.at("recipe"));
      if (!config_file.empty()) {
        apply_toml_file(config, config_file);
        if (config.recipe != given_.at("recipe"))
          throw ConfigError("recipe: '" + given_.at("recipe") + "' on the command line, '" +
                            config.recipe + "' in " + config_file + "; give one of them");
      }
    }
    apply(command, config);
    return config;
  }
  void apply(const CLI::App& command, Config& config) const {
    for (const auto& [key, text] : given_)
      if (key != "recipe" && has(command, key)) apply_setting(config, key, text);
  }

 private:
  static std::string text_of(const std::string& value) { return value; }
  static std::string text_of(int64_t value) { return std::to_string(value); }
  static std::string text_of(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
  }
  template <class Number>
  static std::string text_of(const std::vector<Number>& values) {
    std::string text;
    for (const Number value : values) text += (text.empty() ? "" : ",") + text_of(value);
    return text;
  }
  static const char* type_of(const std::string&) { return "NAME"; }
  static const char* type_of(int64_t) { return "N"; }
  static const char* type_of(double) { return "X"; }
  static const char* type_of(const std::vector<int64_t>&) { return "N,N,..."; }
  static const char* type_of(const std::vector<double>&) { return "X,X,..."; }
  /// Headings of --help; a key stands for itself and those after it.
  std::string group_of(const std::string& key) {
    if (key == "recipe") group_ = "Model";
    if (key == "objective") group_ = "Objective";
    if (key == "dataset") group_ = "Data";
    if (key == "epochs") group_ = "Training";
    if (key == "device") group_ = "Execution";
    return group_;
  }

  Config defaults_;
  std::map<std::string, std::string> given_;
  std::string group_;
};

void announce(const Trainer& trainer, const std::string& dataset) {
  const Model& model = trainer.model();
  const Dataset& data = trainer.dataset();
  std::printf("%s: %lld rows of %s to train on", dataset.c_str(),
              static_cast<long long>(data.split("train").size()),
              to_string(data.sample_shape()).c_str());
  for (const char* split : {"validation", "test"})
    if (data.has(split))
      std::printf(", %lld %s", static_cast<long long>(data.split(split).size()), split);
  std::printf("\nrecipe %s, %lld parameters, on %s\n", model.config.recipe.c_str(),
              static_cast<long long>(model.architecture.layout().parameter_count()),
              model.device->describe().c_str());
  for (const std::string& line : describe_composition(model.config))
    std::printf("  %s\n", line.c_str());
  if (const double floor =
          model.takes_grey_targets() ? mean_entropy(data.split("train"), data.dim()) : 0.0;
      floor > 0.0)
    std::printf(
        "note: grey targets under likelihood %s: a cross-entropy, not a likelihood; floor %.2f "
        "nats; --binarize dynamic gives a likelihood\n",
        model.config.likelihood.c_str(), floor);
  std::fflush(stdout);
}

/// How much is printed.
struct Talk {
  bool quiet = false;
  bool verbose = false;

  void add(CLI::App& command) {
    CLI::Option* none = command.add_flag("--quiet", quiet, "print nothing but errors");
    command.add_flag("--verbose", verbose, "print what was chosen for the GPU as well")
        ->excludes(none);
  }
};

void train_into(Trainer& trainer, RunDirectory& run, const Talk& talk) {
  const bool quiet = talk.quiet;
  if (!quiet) announce(trainer, trainer.dataset().path().string());
  try {
    ProgressDisplay display(quiet);
    ObserverGroup observers({&run, &display});
    trainer.train(&observers);
  } catch (const DeviceError& error) {
    throw DeviceError(std::string(error.what()) + "; " + run.how_to_go_on());
  }
  if (talk.verbose)
    for (const std::string& note : trainer.pass().notes()) std::printf("plan: %s\n", note.c_str());
  std::optional<Evaluation> test;
  if (trainer.dataset().has("test")) test = trainer.evaluate("test");
  run.write_summary(trainer, test);
  if (quiet) return;
  if (trainer.stopped_early())
    std::printf("stopped early: no better validation score since epoch %llu\n",
                static_cast<unsigned long long>(trainer.progress().best_epoch));
  if (test) std::printf("%s\n", describe("test", *test).c_str());
  if (!run.samples_picture().empty())
    std::printf("samples:         %s\n", run.samples_picture().c_str());
  if (!run.reconstructions_picture().empty())
    std::printf("reconstructions: %s\n", run.reconstructions_picture().c_str());
  std::printf("run:             %s\n", run.path().c_str());
}

Dataset open_dataset(const Config& config) {
  return Dataset::open(config.dataset, dataset_options(config));
}

}  // namespace

void add_train(CLI::App& app) {
  struct Flags {
    std::string dataset, out, config_file;
    Talk talk;
    SettingFlags settings;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("train", "Train a model on a data set");
  command->add_option("DATASET", flags->dataset,
                      "directory with IDX or .npy files, or one .npy file");
  command->add_option("--out", flags->out, "run directory to make")->required()->type_name("RUN");
  command->add_option("--config", flags->config_file, "TOML file of settings; flags override it")
      ->type_name("FILE");
  flags->talk.add(*command);
  flags->settings.add(*command);
  command->footer("Example: elbo train mnist --out run --likelihood bernoulli --epochs 10");
  command->callback([flags, command] {
    Config config = flags->settings.resolve(*command, flags->config_file);
    if (!flags->dataset.empty()) config.dataset = flags->dataset;
    if (config.dataset.empty())
      throw ConfigError("no data set given: elbo train DATASET --out RUN");
    validate(config);
    if (std::filesystem::exists(config.dataset))
      config.dataset = std::filesystem::canonical(config.dataset).string();
    std::shared_ptr<Device> device = make_device(config.device, static_cast<int>(config.threads));
    Trainer trainer(config, open_dataset(config), std::move(device));
    RunDirectory run = RunDirectory::create(flags->out, trainer.model().config);
    train_into(trainer, run, flags->talk);
  });
}

void add_resume(CLI::App& app) {
  struct Flags {
    std::string run;
    Talk talk;
    std::string epochs, steps, threads, device;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("resume", "Go on with a training from its last checkpoint");
  command->add_option("RUN", flags->run, "run directory")->required();
  command->add_option("--epochs", flags->epochs, "train to this epoch instead")->type_name("N");
  command->add_option("--steps", flags->steps, "train to this step instead")->type_name("N");
  command->add_option("--device", flags->device, "auto, cpu, cuda or cuda:N")->type_name("NAME");
  command->add_option("--threads", flags->threads, "CPU threads; 0: all")->type_name("N");
  flags->talk.add(*command);
  command->callback([flags] {
    Config config = read_run_config(flags->run);
    const std::pair<const char*, const std::string&> overrides[] = {{"epochs", flags->epochs},
                                                                    {"steps", flags->steps},
                                                                    {"device", flags->device},
                                                                    {"threads", flags->threads}};
    for (const auto& [key, text] : overrides)
      if (!text.empty()) apply_setting(config, key, text);
    validate(config);
    const std::filesystem::path last = find_checkpoint(flags->run, "last");
    Trainer trainer(config, open_dataset(config),
                    make_device(config.device, static_cast<int>(config.threads)));
    trainer.restore(last);
    RunDirectory run = RunDirectory::reopen(flags->run, trainer.progress());
    train_into(trainer, run, flags->talk);
  });
}

}  // namespace elbo::cli
