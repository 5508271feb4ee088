#include <cstdio>

#include "host/cli/training.hpp"

namespace elbo::cli {
namespace {

/// Prints a single warning for all unusable checkpoints.
void warn_of(const std::vector<std::string>& errors, uint64_t step) {
  std::string text;
  for (const std::string& error : errors) text += error + "; ";
  std::fprintf(stderr, "elbo: warning: %sresuming from the previous checkpoint, of step %llu\n",
               text.c_str(), static_cast<unsigned long long>(step));
}

}  // namespace

void add_resume(CLI::App& app) {
  struct Flags {
    std::string run;
    Talk talk;
    SettingFlags settings;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("resume", "Resume training from the last checkpoint");
  add_value(*command, "RUN", "", flags->run, NotEmpty{}, "run directory")->required();
  flags->talk.add(*command);
  flags->settings.add(*command, {"epochs", "steps", "device", "threads", "skip-bad", "image-cache",
                                 "early-stopping", "on-divergence", "keep-checkpoints",
                                 "checkpoint-minutes", "max-minutes"});
  for (CLI::Option* option : command->get_options())
    if (!option->get_default_str().empty()) option->default_str("as before");
  command->callback([flags] {
    flags->talk.check();
    const Config saved = read_run_config(flags->run);
    Config config = saved;
    flags->settings.apply(config);
    config.check();
    RunDirectory run = RunDirectory::reopen(flags->run);
    Dataset dataset = open_training_data(config, saved, flags->run, flags->settings, flags->talk);
    Trainer trainer(config, std::move(dataset),
                    make_device(config.device, static_cast<int>(config.threads)));
    const std::vector<std::string> errors = run.restore(trainer);
    if (!errors.empty()) warn_of(errors, trainer.progress().step);
    if (!flags->talk.quiet && trainer.progress().step >= trainer.total_steps())
      std::printf("note: all %llu steps are done; a larger --epochs or --steps continues\n",
                  static_cast<unsigned long long>(trainer.total_steps()));
    train_into(trainer, run, flags->talk);
  });
}

}  // namespace elbo::cli
