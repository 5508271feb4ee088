#include <cstdio>
#include <fstream>

#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/io/file_error.hpp"
#include "host/train/run_directory.hpp"

namespace elbo::cli {
namespace {

namespace fs = std::filesystem;

void inspect_checkpoint(const fs::path& path) {
  const CheckpointHeader header = read_checkpoint_header(path);
  const Architecture architecture(header.config, header.data);
  std::printf("%s: checkpoint of recipe %s after step %llu, epoch %llu\n", path.c_str(),
              header.config.recipe.c_str(), static_cast<unsigned long long>(header.progress.step),
              static_cast<unsigned long long>(header.progress.epoch));
  std::printf("samples of shape %s, %lld parameters\n", to_string(header.data.sample_shape).c_str(),
              static_cast<long long>(architecture.layout().parameter_count()));
  print_composition(header.config, header.data.sample_shape, "");
  std::printf("\n");
  for (const Parameter& p : architecture.layout().parameters())
    std::printf("  %-26s %s\n", p.name.c_str(), to_string(p.shape).c_str());
  std::printf("\n%s", to_toml(header.config).c_str());
}

void inspect_run(const fs::path& run) {
  inspect_checkpoint(find_checkpoint(run, "last"));
  std::ifstream plan(run / "plan.txt");
  if (plan) std::printf("\nchosen for the GPU:\n");
  for (std::string line; std::getline(plan, line);)
    std::printf("  %s\n", in_one_line(line).c_str());
}

void inspect_dataset(const std::string& path, const SettingFlags& pictures,
                     const CLI::App& command) {
  Config config;
  pictures.apply(command, config);
  config.check();
  DatasetOptions options = dataset_options(config);
  options.validation_fraction = 0.0;
  std::printf("%s", open_dataset(path, options, false).describe().c_str());
}

}  // namespace

void add_inspect(CLI::App& app) {
  struct Flags {
    std::string path;
    SettingFlags pictures;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("inspect", "Describe a data set, a run directory or a checkpoint");
  command->add_option("PATH", flags->path, "what to look at")->required();
  flags->pictures.add(*command, {"image-size", "image-channels", "skip-bad", "cache"});
  command->callback([flags, command] {
    if (fs::path(flags->path).extension() == ".safetensors")
      inspect_checkpoint(flags->path);
    else if (fs::is_regular_file(fs::path(flags->path) / "config.toml"))
      inspect_run(flags->path);
    else
      inspect_dataset(flags->path, flags->pictures, *command);
  });
}

}  // namespace elbo::cli
