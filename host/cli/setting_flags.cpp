#include "host/cli/setting_flags.hpp"

#include <algorithm>
#include <cstdio>

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

constexpr std::string_view kCommon[] = {"recipe",         "network",
                                        "hidden",         "activation",
                                        "latent-dim",     "samples",
                                        "likelihood",     "objective",
                                        "beta",           "kl-warmup-epochs",
                                        "free-bits",      "classifier",
                                        "discriminator",  "image-size",
                                        "image-channels", "validation-fraction",
                                        "epochs",         "batch-size",
                                        "early-stopping", "optimizer",
                                        "learning-rate",  "learning-rate-schedule",
                                        "seed",           "precision",
                                        "device",         "threads"};

}  // namespace

bool is_common(std::string_view key) {
  return std::ranges::find(kCommon, key) != std::end(kCommon);
}

std::vector<std::string> setting_groups() {
  std::vector<std::string> titles;
  Config::for_each_group(
      [&](const auto& group) { titles.emplace_back(std::remove_cvref_t<decltype(group)>::title); });
  return titles;
}

void SettingFlags::add(CLI::App& command, std::initializer_list<std::string_view> keys) {
  command_ = &command;
  Config::for_each_group([&](const auto& group) {
    using Group = std::remove_cvref_t<decltype(group)>;
    for_each_setting(group, [&](const char* key, const auto& value, const auto&, const char* help) {
      if (keys.size() > 0 && std::ranges::find(keys, key) == keys.end()) return;
      std::string flag = "--" + std::string(key);
      if (const std::string_view former = former_key(key); !former.empty())
        flag += ",--" + std::string(former);
      std::string& text = texts_[key];
      CLI::Option* option = nullptr;
      if constexpr (std::is_same_v<decltype(value), const bool&>)
        option = command.add_flag(flag, text, help);
      else
        option = command.add_option(flag, text, help)
                     ->type_name(type_of(value))
                     ->default_str(text_of(value));
      option->group(std::string(Group::title));
    });
  });
}

SettingTexts SettingFlags::given() const {
  SettingTexts texts = texts_;
  std::erase_if(texts, [&](const auto& each) { return command_->count("--" + each.first) == 0; });
  return texts;
}

std::set<std::string> SettingFlags::keys() const {
  std::set<std::string> keys;
  for (const auto& [key, text] : given()) keys.insert(key);
  return keys;
}

Config SettingFlags::resolve(const std::string& config_file) {
  SettingTexts flags = given();
  const auto recipe = flags.extract("recipe");
  Config config = config_for_recipe(recipe ? recipe.mapped() : "vae");
  if (!config_file.empty()) {
    note(apply_toml_file(config, config_file));
    if (recipe && config.recipe != recipe.mapped())
      throw ConfigError("recipe: '" + recipe.mapped() + "' on the command line, '" + config.recipe +
                        "' in " + config_file + "; give one of them");
  }
  note(apply_settings(config, flags));
  return config;
}

void SettingFlags::print_notes(const std::vector<std::string>& idle) const {
  for (const auto* lines : {&notes_, &idle})
    for (const std::string& line : *lines) std::fprintf(stderr, "elbo: note: %s\n", line.c_str());
}

}  // namespace elbo::cli
