#include "host/cli/arguments.hpp"

#include <algorithm>
#include <cctype>
#include <map>

#include "host/cli/setting_flags.hpp"
#include "host/io/file_error.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

std::string help_of(const CLI::App& command) { return "`" + full_name(command) + " --help`"; }

/// "-1" and "-.5" are values, "-" is a name; other words that start with "-" are options.
bool looks_like_an_option(std::string_view argument) {
  return argument.size() > 1 && argument[0] == '-' && argument[1] != '.' &&
         !std::isdigit(static_cast<unsigned char>(argument[1]));
}

bool is_setting(const CLI::Option& option) {
  const std::vector<std::string> groups = setting_groups();
  return std::ranges::find(groups, option.get_group()) != groups.end();
}

std::string names_of_commands(const CLI::App& command, std::vector<std::string>& names) {
  for (const CLI::App* each : command.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(each->get_name());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

[[noreturn]] void refuse_option(const CLI::App& command, const std::string& name) {
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& each : option->get_lnames()) known.push_back("--" + each);
  throw ConfigError("unexpected argument " + in_quotes(name) + "; " +
                    suggestion(name, known, help_of(command)));
}

/// Checks the arguments of one command in order.
class Walk {
 public:
  explicit Walk(const CLI::App& app) : command_(&app) { enter(app); }

  std::vector<std::string> take(const std::vector<std::string>& arguments) {
    std::vector<std::string> understood;
    for (size_t i = 0; i < arguments.size(); ++i) {
      const std::string& argument = arguments[i];
      understood.push_back(argument);
      if (positional_only_ || !looks_like_an_option(argument)) {
        take_word(argument, i > 0 ? arguments[i - 1] : "");
      } else if (argument == "--") {
        positional_only_ = true;
      } else if (take_option(argument, i + 1 < arguments.size() ? &arguments[i + 1] : nullptr)) {
        understood.push_back(arguments[++i]);
      } else if (argument.ends_with('=')) {
        understood.back().pop_back();
        understood.emplace_back();
      }
    }
    std::vector<std::string> names;
    const std::string commands = names_of_commands(*command_, names);
    if (command_->get_parent() != nullptr && !names.empty() && !asks_for_help_)
      throw ConfigError(full_name(*command_) + ": a command is missing; choose from " + commands);
    return understood;
  }

 private:
  void enter(const CLI::App& command) {
    command_ = &command;
    positionals_.clear();
    for (const CLI::Option* option : command.get_options())
      if (option->get_positional()) positionals_.push_back(option->get_name(true));
  }

  void take_word(const std::string& word, const std::string& before) {
    std::vector<std::string> names;
    names_of_commands(*command_, names);
    if (!names.empty()) {
      if (std::ranges::find(names, word) == names.end())
        throw ConfigError("unexpected argument " + in_quotes(word) + "; " +
                          suggestion(word, names));
      enter(*command_->get_subcommand(word));
    } else if (words_.size() < positionals_.size()) {
      words_.push_back(word);
    } else {
      std::string reason = "see " + help_of(*command_);
      const CLI::Option* flag = command_->get_option_no_throw(before);
      if (flag != nullptr && is_setting(*flag))
        reason = "to give " + before + " a value, write " + before + "=" + word;
      else if (!words_.empty())
        reason = positionals_.back() + " is " + in_quotes(words_.back()) + " already";
      throw ConfigError("unexpected argument " + in_quotes(word) + "; " + reason);
    }
  }

  /// Checks an option. Returns true if `next` is its value.
  bool take_option(const std::string& argument, const std::string* next) {
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const CLI::Option* option = command_->get_option_no_throw(name);
    if (option == nullptr || option->get_positional()) refuse_option(*command_, name);
    if (const auto [before, is_new] = given_.try_emplace(option, name); !is_new) {
      if (before->second == name) throw ConfigError(name + ": given more than once");
      throw ConfigError("'" + before->second + "' and '" + name +
                        "' are one option; use one of "
                        "them");
    }
    if (option == command_->get_help_ptr()) asks_for_help_ = true;
    const bool has_value = equals != std::string::npos;
    if (option->get_items_expected_max() == 0 && has_value) {
      const std::string value = argument.substr(equals + 1);
      if (!is_setting(*option))
        throw ConfigError(name + ": got " + in_quotes(value) + ", but it takes no value");
      if (value.empty()) throw ConfigError(name + ": got '', expected true or false");
    }
    if (option->get_items_expected_max() == 0 || has_value) return false;
    if (next == nullptr) throw ConfigError(name + ": a value is missing");
    if (looks_like_an_option(*next))
      throw ConfigError(name + ": a value is missing before " + in_quotes(*next) + "; write " +
                        name + "=VALUE for one that begins with '-'");
    return true;
  }

  const CLI::App* command_;
  std::vector<std::string> positionals_, words_;
  std::map<const CLI::Option*, std::string> given_;
  bool positional_only_ = false, asks_for_help_ = false;
};

}  // namespace

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : full_name(*parent) + " ") + command.get_name();
}

std::vector<std::string> checked_arguments(const CLI::App& app,
                                           const std::vector<std::string>& arguments) {
  return Walk(app).take(arguments);
}

}  // namespace elbo::cli
