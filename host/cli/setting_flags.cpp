#include "host/cli/setting_flags.hpp"

#include <algorithm>
#include <vector>

#include "host/io/text.hpp"
#include "host/model/recipe.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

std::string text_of(const std::string& value) { return value; }
std::string text_of(int64_t value) { return std::to_string(value); }
std::string text_of(double value) { return format_number(value); }
template <class Number>
std::string text_of(const std::vector<Number>& values) {
  std::string text;
  for (const Number value : values) text += (text.empty() ? "" : ",") + text_of(value);
  return text;
}

const char* type_of(const std::string&) { return "NAME"; }
const char* type_of(int64_t) { return "N"; }
const char* type_of(double) { return "X"; }
const char* type_of(const std::vector<int64_t>&) { return "N,N,..."; }
const char* type_of(const std::vector<double>&) { return "X,X,..."; }

template <class Value>
void add_option(CLI::App& command, const std::string& flag, std::string& given, const char* help,
                const Value& value, const std::string& group) {
  command.add_option(flag, given, help)
      ->type_name(type_of(value))
      ->default_str(text_of(value))
      ->group(group);
}
void add_option(CLI::App& command, const std::string& flag, std::string& given, const char* help,
                bool, const std::string& group) {
  command.add_flag(flag, given, help)->group(group);
}

/// Headings of --help; a key stands for itself and those after it.
std::string group_from(std::string_view key, std::string group) {
  if (key == "recipe") group = "Model";
  if (key == "objective") group = "Objective";
  if (key == "dataset") group = "Data";
  if (key == "epochs") group = "Training";
  if (key == "device") group = "Execution";
  return group;
}

}  // namespace

void SettingFlags::add(CLI::App& command, std::initializer_list<std::string_view> keys) {
  std::string group;
  const Config defaults;
  for_each_setting(defaults, [&](const char* key, const auto& value, const char* help) {
    group = group_from(key, group);
    if (keys.size() > 0 && std::ranges::find(keys, key) == keys.end()) return;
    add_option(command, "--" + std::string(key), given_[key], help, value, group);
  });
}

Config SettingFlags::resolve(const CLI::App& command, const std::string& config_file) const {
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

void SettingFlags::apply(const CLI::App& command, Config& config) const {
  for (const auto& [key, text] : given_)
    if (key != "recipe" && has(command, key)) apply_setting(config, key, text);
}

}  // namespace elbo::cli
