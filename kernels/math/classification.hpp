// Losses of a classifier, given the probabilities p = softmax(logits) of a row and its label, one
// struct each, and the list they are chosen from. Both are proper scoring rules.
#pragma once

#include <concepts>

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

/// One class in a row: its probability p, log p, target (1 for the label, else 0), and shift, the
/// row's sum of p (p - target).
template <class T>
struct ClassTerm {
  T p;
  T log_p;
  T target;
  T shift;
};

template <class T>
ELBO_HD ClassTerm<T> class_term(T log_p, bool is_label, T shift) {
  return {exp(log_p), log_p, is_label ? T(1) : T(0), shift};
}

template <class L>
concept ClassLossFormula = requires(ClassTerm<float> term) {
  { L::name } -> std::convertible_to<std::string_view>;
  { L::summary } -> std::convertible_to<std::string_view>;
  { L::loss(term) } -> std::same_as<float>;
  { L::gradient(term) } -> std::same_as<float>;
};

/// -log p of the label, in nats; its gradient at the logits is p - target.
struct CrossEntropy {
  static constexpr std::string_view name = "cross-entropy";
  static constexpr std::string_view summary = "-log p of the label, in nats";
  template <class T>
  ELBO_HD static T loss(const ClassTerm<T>& c) {
    return c.target > T(0) ? -c.log_p : T(0);
  }
  template <class T>
  ELBO_HD static T gradient(const ClassTerm<T>& c) {
    return c.p - c.target;
  }
};

/// sum (p - target)^2 (Brier 1950); through the softmax 2 p (p - target - shift).
struct SquaredError {
  static constexpr std::string_view name = "squared-error";
  static constexpr std::string_view summary = "sum over the classes of (p - target)^2";
  template <class T>
  ELBO_HD static T loss(const ClassTerm<T>& c) {
    return (c.p - c.target) * (c.p - c.target);
  }
  template <class T>
  ELBO_HD static T gradient(const ClassTerm<T>& c) {
    return T(2) * c.p * (c.p - c.target - c.shift);
  }
};

template <ClassLossFormula... Members>
struct ClassLossList : List<Members...> {};

using ClassLosses = ClassLossList<CrossEntropy, SquaredError>;
using ClassLoss = Choice<ClassLosses>;

}  // namespace elbo::math
