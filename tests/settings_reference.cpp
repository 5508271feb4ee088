// Prints docs/settings.md from the lists of settings.
#include <cctype>
#include <cstdio>
#include <string>

#include "host/train/config.hpp"

namespace elbo {
namespace {

template <class Range>
std::string accepted(const bool&, const Range&) {
  return "true, false";
}
template <class T, class Range>
std::string accepted(const T&, const Range& range) {
  return range.text();
}
template <Choosable T, class Range>
std::string accepted(const T&, const Range&) {
  std::string text;
  for (const std::string_view name : Choices<T>::names())
    text += (text.empty() ? "`" : ", `") + std::string(name) + "`";
  return text;
}

void print_group(const auto& group) {
  std::string title(group.title);
  title[0] = static_cast<char>(std::toupper(title[0]));
  std::printf("\n## %s\n\n| setting | default | values | meaning |\n| --- | --- | --- | --- |\n",
              title.c_str());
  for_each_setting(group,
                   [](const char* key, const auto& value, const auto& range, const char* help) {
                     std::string meaning = help;
                     if (const std::string_view former = former_key(key); !former.empty())
                       meaning += " (formerly `" + std::string(former) + "`)";
                     for (size_t i = 0; (i = meaning.find('|', i)) != std::string::npos; i += 2)
                       meaning.insert(i, "\\");
                     std::printf("| `%s` | `%s` | %s | %s |\n", key, toml_of(value).c_str(),
                                 accepted(value, range).c_str(), meaning.c_str());
                   });
}

}  // namespace
}  // namespace elbo

int main() {
  std::printf(
      "# Settings\n\n"
      "A setting has the same name as a flag (`--beta 4`), as a key of a `--config` file\n"
      "(`beta = 4.0`), in a run's `config.toml` and in a checkpoint. Defaults are written as in "
      "TOML.\n"
      "A recipe (`elbo list recipes`) sets some of them; a config file overrides the recipe, "
      "flags\n"
      "override the file. Lists are given to flags with commas: `--hidden 512,256`. Former names "
      "are\n"
      "still accepted. A setting that was given and has no effect is reported in one line.\n\n"
      "This page is the output of `settings_reference`, which is built with the tests.\n");
  elbo::Config::for_each_group([](const auto& group) { elbo::print_group(group); });
}
