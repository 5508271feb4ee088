// Settings whose value is one of several names. To be such a setting, an enumeration declares a
// function `names_of` beside it, which returns an array of names in the order of its values. A list
// of kernels/math uses the names of its members.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kernels/core/error.hpp"
#include "kernels/math/list.hpp"

namespace elbo {

template <class E>
concept Named = std::is_enum_v<E> && requires(E e) {
  names_of(e).size();
};

template <Named E>
constexpr std::string_view name_of(E value) {
  return names_of(value)[static_cast<size_t>(value)];
}
template <class L>
constexpr std::string_view name_of(math::Choice<L> choice) {
  return choice.name();
}
template <class L>
constexpr std::string_view name_of(const std::optional<math::Choice<L>>& choice) {
  return choice ? choice->name() : "none";
}

/// names() returns the names that T accepts; find(name) returns the value with that name, if any.
template <class T>
struct Choices;

template <Named E>
struct Choices<E> {
  static std::vector<std::string_view> names() {
    const auto all = names_of(E{});
    return {all.begin(), all.end()};
  }
  static std::optional<E> find(std::string_view name) {
    for (size_t i = 0; i < names_of(E{}).size(); ++i)
      if (names_of(E{})[i] == name) return static_cast<E>(i);
    return std::nullopt;
  }
};

template <class L>
struct Choices<math::Choice<L>> {
  static std::vector<std::string_view> names() { return {L::names.begin(), L::names.end()}; }
  static std::optional<math::Choice<L>> find(std::string_view name) {
    const int index = L::find(name);
    return index < 0 ? std::nullopt : std::optional(math::Choice<L>{index});
  }
};

/// A member of a list, or none.
template <class L>
struct Choices<std::optional<math::Choice<L>>> {
  static std::vector<std::string_view> names() {
    std::vector<std::string_view> all = Choices<math::Choice<L>>::names();
    all.push_back("none");
    return all;
  }
  static std::optional<std::optional<math::Choice<L>>> find(std::string_view name) {
    if (const auto found = Choices<math::Choice<L>>::find(name)) return std::optional(found);
    if (name == names().back()) return std::optional<math::Choice<L>>();
    return std::nullopt;
  }
};

template <class T>
concept Choosable = requires(std::string_view name) {
  { Choices<T>::find(name) } -> std::same_as<std::optional<T>>;
};

}  // namespace elbo
