#include "host/cli/help.hpp"

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

namespace elbo::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kWidestNames = 30;

/// A name and what it means.
using Entry = std::pair<std::string, std::string>;

/// "  name    explanation", the explanation wrapped; on lines of its own below a long name.
void write_entry(std::ostream& out, const Entry& entry, size_t text_column) {
  const auto& [name, text] = entry;
  std::string line = "  " + name;
  if (line.size() + 2 > text_column) {
    out << line << '\n';
    line.clear();
  }
  line.resize(text_column, ' ');
  std::istringstream words(text);
  bool first = true;
  for (std::string word; words >> word; first = false) {
    if (!first && line.size() + 1 + word.size() > kWidth) {
      out << line << '\n';
      line.assign(text_column, ' ');
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

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode) const {
  struct Section {
    std::string title;  // empty: none
    std::vector<Entry> entries;
  };
  std::vector<Section> sections(2);
  sections[1].title = "Commands";
  for (const CLI::Option* option : app->get_options())
    if (option->get_positional()) sections[0].entries.push_back(entry_of(*option));
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; }))
    sections[1].entries.emplace_back(command->get_name(), command->get_description());
  for (const std::string& group : app->get_groups()) {
    Section& section = sections.emplace_back(Section{group, {}});
    for (const CLI::Option* option : app->get_options())
      if (option->get_group() == group && !option->get_positional())
        section.entries.push_back(entry_of(*option));
  }

  size_t column = 0;
  for (const Section& section : sections)
    for (const Entry& entry : section.entries) column = std::max(column, entry.first.size() + 4);
  column = std::min(column, kWidestNames);

  std::ostringstream out;
  out << app->get_description() << "\n\n" << usage(*app, name) << '\n';
  for (const Section& section : sections) {
    if (section.entries.empty()) continue;
    out << '\n';
    if (!section.title.empty()) out << section.title << ":\n";
    for (const Entry& entry : section.entries) write_entry(out, entry, column);
  }
  if (!app->get_footer().empty()) out << '\n' << app->get_footer() << '\n';
  return out.str();
}

}  // namespace elbo::cli
