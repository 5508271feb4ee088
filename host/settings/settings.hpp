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
// Groups are combined by inheritance, so that members are as flat as keys: a function takes the
// group that it reads, and a whole configuration is one. Two members of the same name do not
// compile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/settings/range.hpp"
#include "host/settings/toml.hpp"

namespace elbo {

/// The settings of several groups.
template <class... Groups>
struct Settings : Groups... {
  template <class S, class V>
  static void visit(S& s, V&& v) {
    (Groups::visit(s, v), ...);
  }
  /// Calls `f(group)` for a default of every group that has a title.
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

/// Calls `v(key, member, range, help)` for every setting, in the order people read them. Keys are
/// the flags without their dashes.
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

/// The current key for a former key; otherwise `key` itself. Files, flags and checkpoints may
/// contain former keys.
std::string_view current_key(std::string_view key);
/// The former key of a setting; empty if none.
std::string_view former_key(std::string_view key);

/// Throws ConfigError: `source` has an unknown setting.
[[noreturn]] void reject_key(std::string_view key, const std::string& source,
                             const std::vector<std::string>& known);
/// Throws ConfigError: `source` has a setting under its former key and the current one.
[[noreturn]] void reject_both_keys(std::string_view key, const std::string& source);

/// Throws ConfigError if `value` is not in `range`. `got` is the value as it was given.
template <class T, class Range>
void require(std::string_view key, std::string_view got, const T& value, const Range& range) {
  const std::string want = expected(range, value);
  if (want.empty()) return;
  if constexpr (requires { offender(range, value); })
    reject_value(key, offender(range, value), want);
  else
    reject_value(key, got, want);
}

/// Sets `value` from text. Throws ConfigError if the text is not of its type or range.
template <class T, class Range>
void read_setting(std::string_view key, std::string_view text, T& value, const Range& range) {
  read_text(key, text, value);
  require(key, text, value, range);
}

/// Sets one key from text as on the command line. Throws ConfigError.
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

/// "beta 0.5": a member of the settings as messages name it.
template <class S, class T>
std::string said(const S& settings, const T& wanted) {
  std::string text;
  for_each_setting(settings, [&](const char* key, const auto& member, const auto&, const char*) {
    if constexpr (std::is_same_v<decltype(member), const T&>)
      if (&member == &wanted) text = std::string(key) + " " + text_of(member);
  });
  return text;
}

/// "did you mean 'NAME'?" if one of the choices is near, otherwise "choose from ..." or, if there
/// are too many for a line, "LISTED_BY lists all".
std::string suggestion(std::string_view name, const std::vector<std::string>& choices,
                       const std::string& listed_by = "");

/// The choice whose edit distance from `name` is smallest, and at most a third of the length of
/// `name`; empty if there is none.
std::string nearest_name(std::string_view name, const std::vector<std::string>& choices);

}  // namespace elbo
