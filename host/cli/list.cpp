#include <cstdio>
#include <functional>

#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/train/recipe.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

void list_layers() {
  for_each_layer([](std::string_view name, std::string_view summary) {
    std::printf("  %-22s %s\n", std::string(name).c_str(), std::string(summary).c_str());
  });
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

}  // namespace elbo::cli
