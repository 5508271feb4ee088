// A List of small structs with a `name` registers a family (likelihoods, activations, optimizers);
// a Choice is one of its members, chosen by name.
#pragma once

#include <array>
#include <string_view>

#include "kernels/math/portable.hpp"

namespace elbo::math {

template <class... Members>
struct List {
  static constexpr int size = sizeof...(Members);
  static constexpr std::array<std::string_view, sizeof...(Members)> names{Members::name...};

  /// Index of the member called `name`, or -1.
  static constexpr int find(std::string_view name) {
    for (int i = 0; i < size; ++i)
      if (names[static_cast<size_t>(i)] == name) return i;
    return -1;
  }

  /// Calls `f(Member{})` for every member, in order.
  template <class F>
  static constexpr void for_each(F&& f) {
    (f(Members{}), ...);
  }

  /// Calls `f(Member{})` for the member at `index`.
  template <class F>
  ELBO_HD static constexpr void visit(int index, F&& f) {
    int i = 0;
    ((i++ == index ? (f(Members{}), 0) : 0), ...);
  }

  template <class Member>
  static constexpr int index_of() {
    return find(Member::name);
  }
};

/// A member of a List. It is trivially copyable, so that it can be a kernel argument.
template <class L>
struct Choice {
  int index = 0;

  constexpr std::string_view name() const { return L::names[static_cast<size_t>(index)]; }
  template <class F>
  ELBO_HD constexpr void visit(F&& f) const {
    L::visit(index, static_cast<F&&>(f));
  }
  template <class Member>
  static constexpr Choice of() {
    return {L::template index_of<Member>()};
  }
  constexpr bool operator==(const Choice&) const = default;
};

}  // namespace elbo::math
