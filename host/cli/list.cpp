#include <cstdio>
#include <functional>

#include "host/cli/commands.hpp"
#include "host/cli/output.hpp"
#include "host/io/file_error.hpp"
#include "host/train/recipe.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

/// Prints a name and its explanation beside it.
void print_entry(std::string_view name, std::string_view text) {
  constexpr size_t kColumn = 21;
  std::string line = "  " + std::string(name);
  if (line.size() + 2 > kColumn) std::printf("%s\n", std::exchange(line, "").c_str());
  line.resize(kColumn, ' ');
  std::fputs(wrapped(line, std::string(text), kColumn).c_str(), stdout);
}

void list_layers() { for_each_layer(print_entry); }

void list_datasets() {
  for (const DatasetReader& reader : dataset_readers()) print_entry(reader.name, reader.expects);
}

template <class List>
void list_names() {
  for (const std::string_view name : List::names)
    std::printf("  %.*s\n", static_cast<int>(name.size()), name.data());
}

void describe_recipe(const Recipe& recipe) {
  constexpr size_t kIndent = 6;
  const auto print = [](const std::string& text, size_t first, size_t rest) {
    std::fputs(wrapped(std::string(first, ' '), text, rest).c_str(), stdout);
  };
  print(std::string(recipe.name) + ": " + std::string(recipe.summary), 2, kIndent);
  for (const std::string& line : composition(config_for_recipe(recipe.name), kExampleShape))
    print(line, kIndent, kIndent + 4);
  std::vector<std::string> flags;
  for (const auto& [key, value] : recipe.settings)
    flags.push_back("--" + std::string(key) + " " + (value.empty() ? "''" : std::string(value)));
  if (!flags.empty())
    std::fputs(wrapped(std::string(kIndent, ' '), flags, kIndent).c_str(), stdout);
}

void list_recipes() {
  for (const Recipe& recipe : recipes()) describe_recipe(recipe);
}

template <class List>
void list_summaries() {
  List::for_each([](auto member) { print_entry(member.name, member.summary); });
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
  CLI::App* command = app.add_subcommand(
      "list", "List recipes, likelihoods, activations, ..., or describe one recipe");
  add_value(*command, "NAME", "", *what, NotEmpty{},
            "category to list, or recipe to describe; default: all categories");
  command->callback([what] {
    for (const Recipe& recipe : recipes())
      if (*what == recipe.name) return describe_recipe(recipe);
    std::vector<std::string> names;
    bool found = what->empty();
    for (const auto& [name, print] : lists()) {
      names.push_back(name);
      if (!what->empty() && *what != name) continue;
      found = true;
      std::printf("%s:\n", name.c_str());
      print();
    }
    if (found) return;
    names.emplace_back("a recipe's name");
    std::vector<std::string> all = names;
    for (const Recipe& recipe : recipes()) all.emplace_back(recipe.name);
    const std::string nearest = nearest_name(*what, all);
    throw ConfigError(
        "list: unknown category " + in_quotes(*what) + "; " +
        (nearest.empty() ? suggestion(*what, names) : "did you mean '" + nearest + "'?"));
  });
}

}  // namespace elbo::cli
