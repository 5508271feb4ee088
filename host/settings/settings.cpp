#include "host/settings/settings.hpp"

#include <algorithm>
#include <numeric>

#include "host/io/file_error.hpp"

namespace elbo {

namespace {

struct FormerKey {
  std::string_view former, key;
};
constexpr FormerKey kFormerKeys[] = {
    {"cache", "image-cache"},
    {"crop", "shift"},
    {"discriminator-rate", "discriminator-learning-rate-ratio"},
    {"judged", "discriminator-inputs"},
    {"keep", "keep-checkpoints"},
    {"kl-cycle-rise", "kl-cycle-ratio"},
    {"learning-rate-floor", "learning-rate-final-ratio"},
    {"noise", "noise-source"},
    {"second-moment-start", "adam-second-moment-init"},
};

}  // namespace

std::string_view current_key(std::string_view key) {
  for (const FormerKey& each : kFormerKeys)
    if (key == each.former) return each.key;
  return key;
}

std::string_view former_key(std::string_view key) {
  for (const FormerKey& each : kFormerKeys)
    if (key == each.key) return each.former;
  return {};
}

void reject_key(std::string_view key, const std::string& source,
                const std::vector<std::string>& known) {
  throw ConfigError(in_one_line(source) + ": unknown setting " + in_quotes(key) + "; " +
                    suggestion(key, known, "`elbo train --help all`"));
}

void reject_both_keys(std::string_view key, const std::string& source) {
  throw ConfigError(in_one_line(source) + ": '" + std::string(key) + "' and '" +
                    std::string(current_key(key)) + "' are one setting; use the second");
}

std::string suggestion(std::string_view name, const std::vector<std::string>& choices,
                       const std::string& listed_by) {
  const std::string nearest = nearest_name(name, choices);
  if (!nearest.empty()) return "did you mean '" + nearest + "'?";
  if (!listed_by.empty()) return listed_by + " lists all";
  std::string text = "choose from ";
  for (const std::string& choice : choices) text += (&choice == &choices[0] ? "" : ", ") + choice;
  return text;
}

namespace {

/// Returns the number of insertions, deletions, substitutions and swaps of adjacent letters that
/// turn `from` into `to` (Damerau-Levenshtein, each letter edited at most once).
size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<size_t> before(to.size() + 1), last(to.size() + 1), row(to.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= from.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= to.size(); ++j) {
      const size_t substitution = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = std::min({substitution, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& choices) {
  constexpr size_t kLongest = 64;  // a longer name is not a typing error
  if (name.size() > kLongest) return "";
  std::string best;
  size_t best_distance = name.size() / 3 + 1;
  for (const std::string& choice : choices) {
    const size_t distance = edit_distance(name, choice);
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = choice;
  }
  return best;
}

}  // namespace elbo
