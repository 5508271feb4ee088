#include "host/settings/combination.hpp"

namespace elbo {

void Combination::refuse(const std::string& one, const std::string& other,
                         const std::string& advice) {
  throw ConfigError(one + " cannot be combined with " + other + ": " + advice);
}

void Combination::needs_other(const void* member, const std::string& other,
                              const std::string& advice) {
  const Member& m = members_.at(member);
  if (m.unusual) refuse(m.text, other, advice + ", or " + m.as_usual);
  note_idle(member, "with " + other);
}

void Combination::note_idle(const void* member, const std::string& reason) {
  const Member& m = members_.at(member);
  if (m.given && noted_.insert(member).second)
    notes_.push_back(m.text + " has no effect " + reason);
}

void Combination::refuse_idle(const void* member, const std::string& reason) const {
  const Member& m = members_.at(member);
  if (m.given) throw ConfigError(m.text + " has no effect " + reason);
}

}  // namespace elbo
