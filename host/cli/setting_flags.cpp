#include "host/cli/setting_flags.hpp"

#include <algorithm>
#include <vector>

#include "host/io/text.hpp"
#include "host/train/recipe.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

const char* type_of(int64_t) { return "N"; }
const char* type_of(double) { return "X"; }
const char* type_of(const std::vector<int64_t>&) { return "N,N,..."; }
const char* type_of(const std::vector<double>&) { return "X,X,..."; }
const char* type_of(const std::string&) { return "NAME"; }
template <Choosable T>
const char* type_of(const T&) {
  return "NAME";
}

/// Of --help: the names in `title`, capitalised.
std::string heading(std::string_view title) {
  std::string text(title);
  text[0] = static_cast<char>(std::toupper(text[0]));
  return text;
}

}  // namespace

void SettingFlags::add(CLI::App& command, std::initializer_list<std::string_view> keys) {
  Config::for_each_group([&](const auto& group) {
    using Group = std::remove_cvref_t<decltype(group)>;
    for_each_setting(group, [&](const char* key, const auto& value, const auto&, const char* help) {
      if (keys.size() > 0 && std::ranges::find(keys, key) == keys.end()) return;
      const std::string flag = "--" + std::string(key);
      std::string& given = given_[key];
      CLI::Option* option = nullptr;
      if constexpr (std::is_same_v<decltype(value), const bool&>)
        option = command.add_flag(flag, given, help);
      else
        option = command.add_option(flag, given, help)
                     ->type_name(type_of(value))
                     ->default_str(text_of(value));
      option->group(heading(Group::title));
    });
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
