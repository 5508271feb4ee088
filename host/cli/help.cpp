#include "host/cli/help.hpp"

#include <sstream>
#include <vector>

namespace elbo::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kTextColumn = 30;

/// "  name    explanation", the explanation wrapped; on lines of its own below a long name.
void write_entry(std::ostream& out, const std::string& name, const std::string& text) {
  std::string line = "  " + name;
  if (line.size() + 2 > kTextColumn) {
    out << line << '\n';
    line.clear();
  }
  line.resize(kTextColumn, ' ');
  std::istringstream words(text);
  bool first = true;
  for (std::string word; words >> word; first = false) {
    if (!first && line.size() + 1 + word.size() > kWidth) {
      out << line << '\n';
      line.assign(kTextColumn, ' ');
      first = true;
    }
    line += (first ? "" : " ") + word;
  }
  out << line << '\n';
}

/// What stands for the option's value, e.g. "N"; a check's description does not belong to it.
std::string value_name(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

std::string shown_name(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  std::string name;
  for (const std::string& each : option.get_snames()) name += "-" + each + ", ";
  for (const std::string& each : option.get_lnames()) name += "--" + each;
  const std::string value = option.get_items_expected_max() == 0 ? "" : value_name(option);
  return name + (value.empty() ? "" : " " + value);
}

void write_option(std::ostream& out, const CLI::Option& option) {
  std::string text = option.get_description();
  if (const std::string value = option.get_default_str(); !value.empty())
    text += " [" + value + "]";
  write_entry(out, shown_name(option), text);
}

std::string usage(const CLI::App& app, const std::string& name) {
  std::string text = "Usage: " + name;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional())
      text += option->get_required() ? " " + shown_name(*option)
                                     : " [" + shown_name(*option) + "]";
    else if (option->get_required())
      text += " " + shown_name(*option);
  if (!app.get_subcommands([](const CLI::App*) { return true; }).empty()) text += " COMMAND";
  return text + " [OPTIONS]";
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode) const {
  std::ostringstream out;
  out << app->get_description() << "\n\n" << usage(*app, name) << "\n";

  const auto positional = [](const CLI::Option* option) { return option->get_positional(); };
  if (const auto options = app->get_options(positional); !options.empty()) {
    out << '\n';
    for (const CLI::Option* option : options) write_option(out, *option);
  }
  const auto commands = app->get_subcommands([](const CLI::App*) { return true; });
  if (!commands.empty()) {
    out << "\nCommands:\n";
    for (const CLI::App* command : commands)
      write_entry(out, command->get_name(), command->get_description());
  }
  for (const std::string& group : app->get_groups()) {
    const auto options = app->get_options([&](const CLI::Option* option) {
      return option->get_group() == group && !option->get_positional();
    });
    if (options.empty()) continue;
    out << '\n' << group << ":\n";
    for (const CLI::Option* option : options) write_option(out, *option);
  }
  if (!app->get_footer().empty()) out << '\n' << app->get_footer() << '\n';
  return out.str();
}

}  // namespace elbo::cli
