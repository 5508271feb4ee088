// Checks combinations of settings: contradictions, and settings without effect. The rules belong to
// the parts; the reaction to a violation is decided here.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host/settings/settings.hpp"

namespace elbo {

class Combination {
 public:
  /// `given` are the keys that the user set, except values that switch a setting off. A setting
  /// also counts as given if its value differs from `start`.
  template <class S>
  explicit Combination(const S& settings, const S& start = {},
                       const std::set<std::string>& given = {});

  /// "beta 0.5": a member of the settings as messages name it.
  template <class T>
  const std::string& said(const T& member) const {
    return members_.at(&member).text;
  }

  /// Throws ConfigError if two settings contradict each other: "ONE cannot be combined with OTHER:
  /// ADVICE".
  void refuse_if(bool contradiction, const std::string& one, const std::string& other,
                 const std::string& advice) const {
    if (contradiction) refuse(one, other, advice);
  }
  /// `members` apply only if `met`. Otherwise throws ConfigError for one with another value than
  /// its default, and notes one that was given with it. `other` is the setting that excludes them;
  /// `advice` ends with the setting to use; ", or " and the default are appended.
  template <class... T>
  void needs(bool met, const std::string& other, const std::string& advice, const T&... members) {
    if (!met) (needs_other(&members, other, advice), ...);
  }
  /// Notes those of `members` that were given although not `used`: "ONE has no effect REASON".
  template <class... T>
  void idle_unless(bool used, const std::string& reason, const T&... members) {
    if (!used) (note_idle(&members, reason), ...);
  }
  /// Throws ConfigError for one of `members` that was given although not `used`, because the user
  /// would not receive the requested result.
  template <class... T>
  void refuse_unless(bool used, const std::string& reason, const T&... members) const {
    if (!used) (refuse_idle(&members, reason), ...);
  }

  void note(std::string line) { notes_.push_back(std::move(line)); }
  /// For people, one line each.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Member {
    std::string text;      // "beta 0.5"
    std::string as_usual;  // "beta 1"
    bool unusual;
    bool given;
  };
  static bool is_off(std::string_view text) {
    return text.empty() || text == "0" || text == "false" || text == "none" || text == "auto";
  }
  [[noreturn]] static void refuse(const std::string& one, const std::string& other,
                                  const std::string& advice);
  void needs_other(const void* member, const std::string& other, const std::string& advice);
  void note_idle(const void* member, const std::string& reason);
  void refuse_idle(const void* member, const std::string& reason) const;

  std::map<const void*, Member> members_;
  std::set<const void*> noted_;
  std::vector<std::string> notes_;
};

template <class S>
Combination::Combination(const S& settings, const S& start, const std::set<std::string>& given) {
  const auto members_of = [](const S& s) {
    std::map<std::string, std::pair<std::string, std::string>> members;  // key: exact, for people
    for_each_setting(s, [&](const char* key, const auto& member, const auto&, const char*) {
      const std::string text = text_of(member);
      members[key] = {toml_of(member),
                      text.empty() ? "no " + std::string(key) : std::string(key) + " " + text};
    });
    return members;
  };
  const auto now = members_of(settings), defaults = members_of(S{}), starts = members_of(start);
  for_each_setting(settings, [&](const char* key, const auto& member, const auto&, const char*) {
    const auto& [value, text] = now.at(key);
    const auto& [default_value, default_text] = defaults.at(key);
    const bool asked_for = given.contains(key) && !is_off(text_of(member));
    members_[&member] = {text, default_text, value != default_value,
                         asked_for || value != starts.at(key).first};
  });
}

}  // namespace elbo
