// The commands that show what there is: inspect, list; and generate, which makes a data set.
#include <cstdio>
#include <fstream>
#include <functional>

#include "host/cli/commands.hpp"
#include "host/data/shapes.hpp"
#include "host/io/file_error.hpp"
#include "host/model/phases.hpp"
#include "host/model/recipe.hpp"
#include "host/train/run_directory.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

namespace fs = std::filesystem;

/// What a model is made of, and what a step of its training does.
void print_composition(const Config& config, const Shape& sample_shape, const char* indent) {
  for (const std::string& line : describe_composition(config, sample_shape))
    std::printf("%s%s\n", indent, line.c_str());
  for (const Phase& phase : phases_of(config))
    std::printf("%s%s\n", indent, describe(phase).c_str());
}

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

void list_layers() {
  for_each_layer([](std::string_view name, std::string_view summary) {
    std::printf("  %-22s %s\n", std::string(name).c_str(), std::string(summary).c_str());
  });
}

void inspect_dataset(const std::string& path, const SettingFlags& pictures,
                     const CLI::App& command) {
  Config config;
  pictures.apply(command, config);
  validate(config);
  DatasetOptions options = dataset_options(config);
  options.validation_fraction = 0.0;
  std::printf("%s", open_dataset(path, options, false).describe().c_str());
}

void list_datasets() {
  for (const DatasetReader& reader : dataset_readers())
    std::printf("  %-18s %s\n", std::string(reader.name).c_str(),
                std::string(reader.expects).c_str());
}

template <class List>
void list_names() {
  for (const std::string_view name : List::names)
    std::printf("  %.*s\n", static_cast<int>(name.size()), name.data());
}

void list_recipes() {
  constexpr const char* kIndent = "     ";
  for (const Recipe& recipe : recipes()) {
    std::printf("  %s: %s\n", std::string(recipe.name).c_str(),
                std::string(recipe.summary).c_str());
    print_composition(config_for_recipe(recipe.name), kExampleShape, "      ");
    constexpr size_t kWidth = 80;
    std::string line = kIndent;
    for (const auto& [key, value] : recipe.settings) {
      const std::string flag =
          " --" + std::string(key) + " " + (value.empty() ? "''" : std::string(value));
      if (line != kIndent && line.size() + flag.size() > kWidth) {
        std::printf("%s\n", line.c_str());
        line = kIndent;
      }
      line += flag;
    }
    if (line != kIndent) std::printf("%s\n", line.c_str());
  }
}

template <class List>
void list_summaries() {
  List::for_each([](auto member) {
    std::printf("  %-18s %s\n", std::string(member.name).c_str(),
                std::string(member.summary).c_str());
  });
}

void list_devices() {
  std::printf("  %s\n", make_cpu_device()->describe().c_str());
  const CudaProbe probe = probe_cuda();
  if (probe.devices == 0) std::printf("  no GPU: %s\n", probe.reason.c_str());
  for (int i = 0; i < probe.devices; ++i)
    std::printf("  cuda:%d %s\n", i, make_cuda_device(i)->describe().c_str());
}

const std::vector<std::pair<std::string, std::function<void()>>>& lists() {
  static const std::vector<std::pair<std::string, std::function<void()>>> all = {
      {"recipes", list_recipes},
      {"likelihoods", list_summaries<math::Likelihoods>},
      {"class-losses", list_summaries<math::ClassLosses>},
      {"corruptions", list_summaries<math::Corruptions>},
      {"layers", list_layers},
      {"activations", list_names<math::Activations>},
      {"optimizers", list_summaries<math::Optimizers>},
      {"schedules", list_names<math::Decays>},
      {"datasets", list_datasets},
      {"devices", list_devices},
  };
  return all;
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

void add_list(CLI::App& app) {
  auto what = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("list", "Names to choose from: recipes, likelihoods, activations, ...");
  command->add_option("WHAT", *what, "one of the lists; all of them when left out");
  command->callback([what] {
    std::vector<std::string> names;
    for (const auto& [name, print] : lists()) {
      names.push_back(name);
      if (!what->empty() && *what != name) continue;
      std::printf("%s:\n", name.c_str());
      print();
    }
    if (!what->empty() && std::find(names.begin(), names.end(), *what) == names.end())
      throw ConfigError("list: nothing is called '" + *what + "'; did you mean '" +
                        nearest_name(*what, names) + "'?");
  });
}

void add_generate(CLI::App& app) {
  struct Flags {
    std::string directory;
    ShapesOptions options;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("generate", "Make a data set");
  command->require_subcommand(1);
  CLI::App* shapes = command->add_subcommand(
      "shapes", "White shapes on black with known position, scale and rotation");
  shapes->add_option("DIR", flags->directory, "directory to make")->required();
  shapes->add_option("--train-count", flags->options.train_count, "training images")
      ->type_name("N")
      ->capture_default_str();
  shapes->add_option("--test-count", flags->options.test_count, "test images")
      ->type_name("N")
      ->capture_default_str();
  shapes->add_option("--size", flags->options.size, "height and width in pixels")
      ->type_name("N")
      ->capture_default_str();
  shapes->add_option("--seed", flags->options.seed, "of the draws")
      ->type_name("N")
      ->capture_default_str();
  shapes->callback([flags] {
    generate_shapes(flags->directory, flags->options);
    std::printf("%s",
                Dataset::open(flags->directory, {.validation_fraction = 0.0}).describe().c_str());
  });
}

}  // namespace elbo::cli
