// The activations φ, one struct each, and the list they are chosen from. A layer stores the operand
// of `derivative`: the output y = φ(x) if that suffices, otherwise the input x.
#pragma once

#include <concepts>

#include "kernels/math/elementary.hpp"
#include "kernels/math/list.hpp"

namespace elbo::math {

template <class A>
concept ActivationFormula = requires(float v) {
  { A::name } -> std::convertible_to<std::string_view>;
  { A::derivative_from_input } -> std::convertible_to<bool>;
  { A::value(v) } -> std::same_as<float>;
  { A::derivative(v) } -> std::same_as<float>;
};

struct Identity {
  static constexpr std::string_view name = "identity";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return x;
  }
  template <class T>
  ELBO_HD static T derivative(T) {
    return T(1);
  }
};

struct Relu {
  static constexpr std::string_view name = "relu";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return x < T(0) ? T(0) : x;
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return y > T(0) ? T(1) : T(0);
  }
};

struct LeakyRelu {
  static constexpr std::string_view name = "leaky-relu";
  static constexpr bool derivative_from_input = false;
  static constexpr double slope = 0.01;
  template <class T>
  ELBO_HD static T value(T x) {
    return x > T(0) ? x : T(slope) * x;
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return y > T(0) ? T(1) : T(slope);
  }
};

struct Tanh {
  static constexpr std::string_view name = "tanh";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return tanh(x);
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return fma(-y, y, T(1));
  }
};

struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return sigmoid(x);
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return y * (T(1) - y);
  }
};

/// Clevert, Unterthiner, Hochreiter 2016, alpha = 1.
struct Elu {
  static constexpr std::string_view name = "elu";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return x > T(0) ? x : exp_negative(min(x, T(0))) - T(1);
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return y > T(0) ? T(1) : y + T(1);
  }
};

/// x sigmoid(x), also called swish. Not invertible, so its derivative needs the input.
struct Silu {
  static constexpr std::string_view name = "silu";
  static constexpr bool derivative_from_input = true;
  template <class T>
  ELBO_HD static T value(T x) {
    return x * sigmoid(x);
  }
  template <class T>
  ELBO_HD static T derivative(T x) {
    const T s = sigmoid(x);
    return s * fma(x, T(1) - s, T(1));
  }
};

struct Softplus {
  static constexpr std::string_view name = "softplus";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return softplus(x);
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return T(1) - exp(-y);
  }  // sigmoid(x) = 1 - e^-softplus(x)
};

/// The nearest number in [0, 1].
struct Clip {
  static constexpr std::string_view name = "clip";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return x < T(0) ? T(0) : x > T(1) ? T(1) : x;
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return y > T(0) && y < T(1) ? T(1) : T(0);
  }
};

/// The mean of counts or rates, from its logarithm.
struct Exponential {
  static constexpr std::string_view name = "exponential";
  static constexpr bool derivative_from_input = false;
  template <class T>
  ELBO_HD static T value(T x) {
    return exp(x);
  }
  template <class T>
  ELBO_HD static T derivative(T y) {
    return y;
  }
};

using Activations =
    List<Identity, Relu, LeakyRelu, Tanh, Sigmoid, Elu, Silu, Softplus, Clip, Exponential>;
using Activation = Choice<Activations>;

/// φ(x) and φ' for an activation chosen at run time.
ELBO_HD float activate(Activation activation, float x) {
  float y = x;
  activation.visit([&](auto a) { y = decltype(a)::value(x); });
  return y;
}
ELBO_HD float activation_derivative(Activation activation, float saved) {
  float d = 1.0f;
  activation.visit([&](auto a) { d = decltype(a)::derivative(saved); });
  return d;
}

}  // namespace elbo::math
