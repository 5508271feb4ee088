// Groups of settings. A group is a struct of members with a function `visit`, which pairs each
// member with its key, range and help, and a title for --help:
//
//   struct KlSettings {
//     static constexpr std::string_view title = "KL term";
//     double beta = 1.0;
//     template <class S, class V>
//     static void visit(S& s, V&& v) {
//       v("beta", s.beta, AtLeast{0}, "weight of the KL term");
//     }
//     bool operator==(const KlSettings&) const = default;
//   };
//
// Groups are combined by inheritance, so that members are flat like the keys: a function takes only
// the group that it reads, and a whole configuration converts to each of its groups. Two members of
// the same name do not compile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/settings/range.hpp"
#include "host/settings/toml.hpp"

namespace elbo {

/// The union of some groups of settings.
template <class... Groups>
struct Settings : Groups... {
  template <class S, class V>
  static void visit(S& s, V&& v) {
    (Groups::visit(s, v), ...);
  }
  /// Calls `f(group)` with a default-constructed instance of every group that has a title.
  template <class F>
  static void for_each_group(F&& f) {
    const auto descend = [&]<class G>(const G& group) {
      if constexpr (requires { G::title; })
        f(group);
      else
        G::for_each_group(f);
    };
    (descend(Groups{}), ...);
  }
  bool operator==(const Settings&) const = default;
};

/// Calls `v(key, member, range, help)` for every setting, in the order of --help. Keys are the
/// flags without their dashes.
template <class S, class V>
void for_each_setting(S& settings, V&& v) {
  std::remove_const_t<S>::visit(settings, v);
}

template <class S>
std::vector<std::string> setting_names() {
  std::vector<std::string> names;
  const S settings;
  for_each_setting(settings, [&](const char* key, const auto&, const auto&, const char*) {
    names.emplace_back(key);
  });
  return names;
}

/// Returns the current key of a renamed setting, or `key` itself if `key` is not a former key.
/// Files, flags and checkpoints may contain former keys.
std::string_view current_key(std::string_view key);
/// Returns the former key of a renamed setting; empty if the setting was never renamed.
std::string_view former_key(std::string_view key);

/// Throws ConfigError: `source` contains an unknown setting.
[[noreturn]] void reject_key(std::string_view key, const std::string& source,
                             const std::vector<std::string>& known);
/// Throws ConfigError: `source` contains a setting under both its former and its current key.
[[noreturn]] void reject_both_keys(std::string_view key, const std::string& source);

/// Throws ConfigError if `value` is not in `range`. `got` is the value as the user wrote it.
template <class T, class Range>
void require(std::string_view key, std::string_view got, const T& value, const Range& range) {
  const std::string want = expected(range, value);
  if (want.empty()) return;
  if constexpr (requires { offender(range, value); })
    reject_value(key, offender(range, value), want);
  else
    reject_value(key, got, want);
}

/// Sets `value` from text. Throws ConfigError if the text does not have the type or is out of
/// range.
template <class T, class Range>
void read_setting(std::string_view key, std::string_view text, T& value, const Range& range) {
  read_text(key, text, value);
  require(key, text, value, range);
}

/// Sets one key from text in command-line syntax. Throws ConfigError.
template <class S>
void set_from_text(S& settings, std::string_view key, std::string_view text) {
  bool found = false;
  for_each_setting(settings, [&](const char* name, auto& member, const auto& range, const char*) {
    if (current_key(key) != name) return;
    read_setting(key, text, member, range);
    found = true;
  });
  if (!found) reject_key(key, "settings", setting_names<S>());
}

/// Sets the keys of a TOML text. Throws ConfigError that names the source.
template <class S>
void set_from_toml(S& settings, const TomlSettings& toml) {
  for (const std::string& key : toml.keys()) {
    if (current_key(key) != key && toml.has(current_key(key))) reject_both_keys(key, toml.source());
    bool found = false;
    for_each_setting(settings, [&](const char* name, auto& member, const auto& range, const char*) {
      if (current_key(key) != name) return;
      toml.name_source([&] {
        toml.read(key, member);
        require(key, text_of(member), member, range);
      });
      found = true;
    });
    if (!found) reject_key(key, toml.source(), setting_names<S>());
  }
}

/// Throws ConfigError for the first setting that is out of its range.
template <class S>
void check_ranges(const S& settings) {
  for_each_setting(settings, [](const char* key, const auto& value, const auto& range,
                                const char*) { require(key, text_of(value), value, range); });
}

/// Returns "beta 0.5": the name and value of the member `wanted`, for messages.
template <class S, class T>
std::string said(const S& settings, const T& wanted) {
  std::string text;
  for_each_setting(settings, [&](const char* key, const auto& member, const auto&, const char*) {
    if constexpr (std::is_same_v<decltype(member), const T&>)
      if (&member == &wanted) text = std::string(key) + " " + text_of(member);
  });
  return text;
}

/// Returns "did you mean 'NAME'?" if one of the choices is near. Otherwise returns "LISTED_BY lists
/// all" or, if `listed_by` is empty, "choose from ...".
std::string suggestion(std::string_view name, const std::vector<std::string>& choices,
                       const std::string& listed_by = "");

/// Returns the choice with the smallest edit distance from `name`, if the distance is at most a
/// third of the length of `name`; otherwise an empty string.
std::string nearest_name(std::string_view name, const std::vector<std::string>& choices);

}  // namespace elbo
