// elbo train and elbo resume.
#include <cstdio>
#include <cstring>

#include "host/cli/commands.hpp"
#include "host/cli/faults.hpp"
#include "host/cli/progress.hpp"
#include "host/cli/setting_flags.hpp"
#include "host/data/statistics.hpp"
#include "host/train/run_directory.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

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
  for (const std::string& line : describe_composition(model.config, data.sample_shape()))
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

/// Trains; adds to what goes wrong how to go on.
TrainingEnd train_watched(Trainer& trainer, RunDirectory& run, bool quiet) {
  const auto with_advice = [&](const std::exception& error) {
    return std::string(error.what()) + "; " + run.how_to_go_on();
  };
  advise_after_fault("`elbo resume " + run.path().string() +
                     "` goes on from the last checkpoint, if there is one");
  try {
    ProgressDisplay display(quiet);
    StopSignals signals;
    ObserverGroup observers({&run, &display, &signals});
    const TrainingEnd end = trainer.train(&observers);
    if (end == TrainingEnd::interrupted)
      throw Interrupted(signals.received(),
                        "interrupted (" + std::string(::strsignal(signals.received())) +
                            ") after step " + std::to_string(trainer.progress().step) + " of " +
                            std::to_string(trainer.total_steps()) + "; " + run.how_to_go_on());
    return end;
  } catch (const DeviceError& error) {
    throw DeviceError(with_advice(error));
  } catch (const DataError& error) {
    throw DataError(with_advice(error));
  } catch (const std::bad_alloc&) {
    throw DeviceError("out of memory; a smaller model or batch needs less; " + run.how_to_go_on());
  } catch (const DivergenceError& error) {
    throw DivergenceError(
        std::string(error.what()) + "; more in " + run.divergence_file().string() +
        "; `elbo resume " + run.path().string() +
        " --on-divergence rollback` goes on from the last checkpoint with half the learning rate");
  }
}

void train_into(Trainer& trainer, RunDirectory& run, const Talk& talk) {
  const bool quiet = talk.quiet;
  if (!quiet) announce(trainer, trainer.dataset().path().string());
  const TrainingEnd end = train_watched(trainer, run, quiet);
  if (talk.verbose)
    for (const std::string& note : trainer.pass().notes()) std::printf("plan: %s\n", note.c_str());
  if (end == TrainingEnd::out_of_time) {
    if (!quiet)
      std::printf("stopped after %g minutes and step %llu of %llu; %s\n",
                  trainer.model().config.max_minutes,
                  static_cast<unsigned long long>(trainer.progress().step),
                  static_cast<unsigned long long>(trainer.total_steps()),
                  run.how_to_go_on().c_str());
    return;
  }
  std::optional<Evaluation> test;
  if (trainer.dataset().has("test")) test = trainer.evaluate("test");
  run.write_summary(trainer, test);
  if (quiet) return;
  if (end == TrainingEnd::stopped_early)
    std::printf("stopped early: no better validation score since epoch %llu\n",
                static_cast<unsigned long long>(trainer.progress().best_epoch));
  if (test) std::printf("%s\n", describe("test", *test).c_str());
  if (!run.samples_picture().empty())
    std::printf("samples:         %s\n", run.samples_picture().c_str());
  if (!run.reconstructions_picture().empty())
    std::printf("reconstructions: %s\n", run.reconstructions_picture().c_str());
  if (!run.interpolations_picture().empty())
    std::printf("interpolations:  %s\n", run.interpolations_picture().c_str());
  std::printf("run:             %s\n", run.path().c_str());
}

/// One line, however many checkpoints are of no use.
void warn_of(const std::vector<std::string>& errors, uint64_t step) {
  std::string text;
  for (const std::string& error : errors) text += error + "; ";
  std::fprintf(stderr, "elbo: warning: %sgoing on from the checkpoint before, of step %llu\n",
               text.c_str(), static_cast<unsigned long long>(step));
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
                      "directory of IDX or .npy files or of pictures, or one .npy file");
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
    if (!config.cache.empty()) config.cache = std::filesystem::absolute(config.cache).string();
    std::shared_ptr<Device> device = make_device(config.device, static_cast<int>(config.threads));
    Trainer trainer(config, open_dataset(config, flags->out, flags->talk.quiet), std::move(device));
    RunDirectory run = RunDirectory::create(flags->out, trainer.model().config);
    train_into(trainer, run, flags->talk);
  });
}

void add_resume(CLI::App& app) {
  struct Flags {
    std::string run;
    Talk talk;
    std::string epochs, steps, threads, device;
    SettingFlags others;
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
  flags->others.add(*command, {"skip-bad", "cache", "early-stopping", "on-divergence", "keep",
                               "checkpoint-minutes", "max-minutes"});
  for (const char* flag :
       {"--early-stopping", "--on-divergence", "--keep", "--checkpoint-minutes", "--max-minutes"})
    command->get_option(flag)->default_str("as before");
  command->callback([flags, command] {
    Config config = read_run_config(flags->run);
    const std::pair<const char*, const std::string&> overrides[] = {{"epochs", flags->epochs},
                                                                    {"steps", flags->steps},
                                                                    {"device", flags->device},
                                                                    {"threads", flags->threads}};
    for (const auto& [key, text] : overrides)
      if (!text.empty()) apply_setting(config, key, text);
    flags->others.apply(*command, config);
    validate(config);
    RunDirectory run = RunDirectory::reopen(flags->run);
    Trainer trainer(config, open_dataset(config, flags->run, flags->talk.quiet),
                    make_device(config.device, static_cast<int>(config.threads)));
    const std::vector<std::string> errors = run.restore(trainer);
    if (!errors.empty()) warn_of(errors, trainer.progress().step);
    train_into(trainer, run, flags->talk);
  });
}

}  // namespace elbo::cli
