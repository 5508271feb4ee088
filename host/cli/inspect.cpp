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
  for (const std::string& line : composition(header.config, header.data.sample_shape))
    std::printf("%s\n", line.c_str());
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

void inspect_dataset(const std::string& path, SettingFlags& pictures) {
  Config config;
  pictures.apply(config);
  config.check();
  DatasetOptions options = dataset_options(config);
  options.validation_fraction = 0.0;
  const Dataset data = open_dataset(path, options, false);
  pictures.print_notes(idle_picture_settings(config, data, pictures.keys()));
  std::printf("%s", data.describe().c_str());
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
  add_value(*command, "PATH", "", flags->path, NotEmpty{},
            "data set, run directory or .safetensors file")
      ->required();
  flags->pictures.add(*command, {"image-size", "image-channels", "skip-bad", "image-cache"});
  command->get_option("--image-cache")
      ->description("directory for decoded pictures; empty: in the user's cache directory");
  command->callback([flags] {
    const bool is_run = fs::is_regular_file(fs::path(flags->path) / "config.toml");
    const bool is_checkpoint = fs::path(flags->path).extension() == ".safetensors";
    if (const auto given = flags->pictures.keys(); (is_run || is_checkpoint) && !given.empty())
      throw ConfigError("--" + *given.begin() + " is for data sets; " + flags->path +
                        " is a trained model");
    if (is_checkpoint)
      inspect_checkpoint(flags->path);
    else if (is_run)
      inspect_run(flags->path);
    else
      inspect_dataset(flags->path, flags->pictures);
  });
}

}  // namespace elbo::cli
