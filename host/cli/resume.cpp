#include <cstdio>

#include "host/cli/training.hpp"

namespace elbo::cli {
namespace {

/// One line, however many checkpoints are of no use.
void warn_of(const std::vector<std::string>& errors, uint64_t step) {
  std::string text;
  for (const std::string& error : errors) text += error + "; ";
  std::fprintf(stderr, "elbo: warning: %sgoing on from the checkpoint before, of step %llu\n",
               text.c_str(), static_cast<unsigned long long>(step));
}

}  // namespace

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
    config.check();
    RunDirectory run = RunDirectory::reopen(flags->run);
    Trainer trainer(config, open_dataset(config, flags->run, flags->talk.quiet),
                    make_device(config.device, static_cast<int>(config.threads)));
    const std::vector<std::string> errors = run.restore(trainer);
    if (!errors.empty()) warn_of(errors, trainer.progress().step);
    train_into(trainer, run, flags->talk);
  });
}

}  // namespace elbo::cli
