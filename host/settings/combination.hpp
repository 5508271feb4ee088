// Checks settings against each other: which contradict each other, and which have no effect beside
// the others. The parts of a model define the rules; this class defines the consequence of a
// violation (an error or a note).
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
  /// `given` contains the keys that the user set explicitly, unless they were set to "off". A
  /// setting whose value differs from `start` (the settings before the user's) counts as given too.
  template <class S>
  explicit Combination(const S& settings, const S& start = {},
                       const std::set<std::string>& given = {});

  /// Returns "beta 0.5": the name and value of a member, for messages.
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
  /// Declares that `members` apply only if `met`. If not, throws ConfigError for a member whose
  /// value is not the default, and notes a member that was given with its default value. `other` is
  /// the setting that excludes the members. `advice` ends in the setting to use; ", or " and the
  /// default follow it.
  template <class... T>
  void needs(bool met, const std::string& other, const std::string& advice, const T&... members) {
    if (!met) (needs_other(&members, other, advice), ...);
  }
  /// Notes each of `members` that was given although not `used`: "ONE has no effect REASON".
  template <class... T>
  void idle_unless(bool used, const std::string& reason, const T&... members) {
    if (!used) (note_idle(&members, reason), ...);
  }
  /// Throws ConfigError if one of `members` was given although not `used`. For settings that would
  /// change the result, so that ignoring them is an error.
  template <class... T>
  void refuse_unless(bool used, const std::string& reason, const T&... members) const {
    if (!used) (refuse_idle(&members, reason), ...);
  }

  void note(std::string line) { notes_.push_back(std::move(line)); }
  /// The notes for the user, one line each.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Member {
    std::string text;      // "beta 0.5"
    std::string as_usual;  // the default: "beta 1"
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
    std::map<std::string, std::pair<std::string, std::string>> members;  // key: TOML, for messages
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
