#include "host/cli/help.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "host/cli/output.hpp"
#include "host/cli/setting_flags.hpp"
#include "host/io/file_error.hpp"
#include "kernels/core/error.hpp"

namespace elbo::cli {
namespace {

constexpr size_t kWidestNames = 30;

/// A name and its explanation.
using Entry = std::pair<std::string, std::string>;

/// Writes "  name    explanation" with the explanation wrapped; below a long name, the explanation
/// starts on a new line.
void write_entry(std::ostream& out, const Entry& entry, size_t text_column) {
  const auto& [name, text] = entry;
  std::string line = "  " + name;
  if (line.size() + 2 > text_column) {
    out << line << '\n';
    line.clear();
  }
  line.resize(text_column, ' ');
  out << wrapped(line, text, text_column);
}

/// Returns the placeholder of the option's value, e.g. "N", without the description of its check.
std::string value_name(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

/// Returns the name of an option without its former names.
std::string shown_name(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  std::string name;
  for (const std::string& each : option.get_snames()) name += "-" + each + ", ";
  name += "--" + option.get_lnames().front();
  const std::string value = option.get_items_expected_max() == 0 ? "" : value_name(option);
  return name + (value.empty() ? "" : " " + value);
}

Entry entry_of(const CLI::Option& option) {
  std::string text = option.get_description();
  if (const std::string value = option.get_default_str(); !value.empty())
    text += " [" + value + "]";
  return {shown_name(option), text};
}

std::string usage(const CLI::App& app, const std::string& name) {
  std::string text = "Usage: " + name;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional())
      text += option->get_required() ? " " + shown_name(*option) : " [" + shown_name(*option) + "]";
    else if (option->get_required())
      text += " " + shown_name(*option);
  if (!app.get_subcommands([](const CLI::App*) { return true; }).empty()) text += " COMMAND";
  return text + " [OPTIONS]";
}

/// Turns "data" into "Data".
std::string heading(std::string text) {
  text[0] = static_cast<char>(std::toupper(text[0]));
  return text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Returns true if a command accepts every setting; they are too many for one page.
bool takes_all_settings(const CLI::App& app) {
  const std::vector<std::string> groups = app.get_groups();
  return std::ranges::all_of(setting_groups(), [&](const std::string& group) {
    return std::ranges::find(groups, group) != groups.end();
  });
}

}  // namespace

void HelpFormatter::take_topic(const CLI::App& app, std::vector<std::string>& arguments) {
  if (arguments.empty()) return;
  if (arguments[0] == "help" || arguments[0] == "--help" || arguments[0] == "-h") {
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  const auto commands =
      app.get_subcommands([&](const CLI::App* each) { return each->get_name() == arguments[0]; });
  const auto help = std::ranges::find_if(
      arguments, [](const std::string& each) { return each == "--help" || each == "-h"; });
  if (commands.empty() || help == arguments.end() || std::next(help) == arguments.end()) return;
  const std::string topic = *std::next(help);
  if (topic.starts_with("-")) return;
  if (!takes_all_settings(*commands[0]))
    throw ConfigError("help: " + in_quotes(topic) + " is no part of `elbo " + arguments[0] +
                      " --help`");
  std::vector<std::string> topics = setting_groups();
  topics.emplace_back("all");
  if (std::ranges::find(topics, topic) == topics.end())
    throw ConfigError("help: no group of settings is called " + in_quotes(topic) + "; " +
                      suggestion(topic, topics));
  topic_ = topic;
  arguments.erase(std::next(help));
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode) const {
  struct Section {
    std::string title;  // empty: no title
    std::vector<Entry> entries;
  };
  std::vector<Section> sections(2);
  sections[1].title = "Commands";
  for (const CLI::Option* option : app->get_options())
    if (option->get_positional()) sections[0].entries.push_back(entry_of(*option));
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; }))
    sections[1].entries.emplace_back(command->get_name(), command->get_description());
  const std::vector<std::string> titles = setting_groups();
  const bool chooses = takes_all_settings(*app);
  for (const std::string& group : app->get_groups()) {
    const bool settings = std::ranges::find(titles, group) != titles.end();
    if (chooses && !topic_.empty() && topic_ != "all" && topic_ != group) continue;
    Section& section = sections.emplace_back(Section{heading(group), {}});
    for (const CLI::Option* option : app->get_options())
      if (option->get_group() == group && !option->get_positional() &&
          (!chooses || !settings || !topic_.empty() || is_common(option->get_lnames().front())))
        section.entries.push_back(entry_of(*option));
  }

  size_t column = 0;
  for (const Section& section : sections)
    for (const Entry& entry : section.entries) column = std::max(column, entry.first.size() + 4);
  column = std::min(column, kWidestNames);

  std::ostringstream out;
  out << wrapped("", app->get_description(), 0) << '\n' << usage(*app, name) << '\n';
  for (const Section& section : sections) {
    if (section.entries.empty()) continue;
    out << '\n';
    if (!section.title.empty()) out << section.title << ":\n";
    for (const Entry& entry : section.entries) write_entry(out, entry, column);
  }
  if (!app->get_footer().empty()) out << '\n' << app->get_footer() << '\n';
  if (chooses && topic_ != "all") {
    out << "\nMore settings: `" << name << " --help GROUP`, or `--help all`. Groups:\n";
    out << wrapped("  ", joined(titles), 2);
  }
  return out.str();
}

}  // namespace elbo::cli
